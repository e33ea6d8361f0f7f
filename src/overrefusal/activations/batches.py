"""Prompts through a model: batches of about one length, and logits where they are needed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from overrefusal.activations.structure import device_of
from overrefusal.errors import OverrefusalError

TOKENS_CPU, TOKENS_GPU = 1024, 16384
"""Tokens of a batch, its padding included. More fall out of a CPU's cache, and are slower."""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Some of the prompts, padded on the right.

    In a causal model no token sees what comes after it, so that padding there changes nothing and
    needs no mask, and every prompt starts at position 0.
    """

    rows: list[int]
    """Which of the prompts, by their number."""
    ids: Tensor
    """(rows, tokens)."""
    lengths: Tensor
    """(rows,), without the padding."""


def batches(
    prompts: Sequence[Sequence[int]], device: torch.device, tokens: int | None = None
) -> Iterator[Batch]:
    """All prompts in batches of up to ``tokens`` tokens (by default what suits the device), the
    longest first, so that too long a batch fails at once. A longer prompt is a batch of its own.

    Raises ``OverrefusalError`` for an empty prompt.
    """
    tokens = tokens or (TOKENS_CPU if device.type == "cpu" else TOKENS_GPU)
    order = sorted(range(len(prompts)), key=lambda i: (-len(prompts[i]), i))
    while order:
        width = len(prompts[order[0]])
        if not len(prompts[order[-1]]):
            raise OverrefusalError(f"prompt {order[-1]} has no tokens")
        rows = order[: max(1, tokens // width)]
        order = order[len(rows) :]
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(prompts[row])] = torch.tensor(prompts[row])
        lengths = torch.tensor([len(prompts[row]) for row in rows])
        yield Batch(rows, ids.to(device), lengths.to(device))


def next_logits(model: nn.Module, batch: Batch) -> Tensor:
    """The logits behind each prompt's last token, (rows, vocabulary); no others are computed
    where the model lets them be left out."""
    last = batch.lengths - 1
    kept, where = torch.unique(last, return_inverse=True)
    if "logits_to_keep" in inspect.signature(model.forward).parameters:
        logits: Tensor = model(
            input_ids=batch.ids, use_cache=False, logits_to_keep=kept.cpu()
        ).logits
    else:
        logits, where = model(input_ids=batch.ids, use_cache=False).logits, last
    return logits[torch.arange(len(where), device=logits.device), where.to(logits.device)]


def all_next_logits(
    model: nn.Module, prompts: Sequence[Sequence[int]], tokens: int | None = None
) -> Iterator[tuple[list[int], Tensor]]:
    """``next_logits`` of all prompts, batch by batch, with the prompts' numbers."""
    with torch.inference_mode():
        for batch in batches(prompts, device_of(model), tokens):
            yield batch.rows, next_logits(model, batch)
