"""Prompts through a model: batches of about one length, and logits where they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from overrefusal.activations.structure import device_of
from overrefusal.errors import OverrefusalError

TOKENS_CPU, TOKENS_GPU = 1024, 16384
"""Tokens of a batch, its padding included. More fall out of a CPU's cache, and are slower."""

FULL = 0.8
"""Share of a batch's width that its shortest prompt fills at least."""


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
        while len(prompts[rows[-1]]) < FULL * width:
            rows.pop()
        order = order[len(rows) :]
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        for i, row in enumerate(rows):
            ids[i, : len(prompts[row])] = torch.tensor(prompts[row])
        lengths = torch.tensor([len(prompts[row]) for row in rows])
        yield Batch(rows, ids.to(device), lengths.to(device))


def next_logits(model: Any, batch: Batch) -> Tensor:
    """The logits behind each prompt's last token, (rows, vocabulary), and no others.

    The head is given the rows' last tokens only; what the model does to logits afterwards (scaling,
    soft-capping) is done to these.
    """
    rows = torch.arange(len(batch.rows))
    last = batch.lengths.cpu() - 1

    def narrowed(_: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        streams = args[0]
        return (streams[rows.to(streams.device), last.to(streams.device)][:, None], *args[1:])

    head = model.get_output_embeddings()
    handle = head.register_forward_pre_hook(narrowed)
    try:
        logits: Tensor = model(input_ids=batch.ids, use_cache=False).logits
    finally:
        handle.remove()
    return logits[:, 0]


def all_next_logits(
    model: nn.Module, prompts: Sequence[Sequence[int]], tokens: int | None = None
) -> Iterator[tuple[list[int], Tensor]]:
    """``next_logits`` of all prompts, batch by batch, with the prompts' numbers."""
    with torch.inference_mode():
        for batch in batches(prompts, device_of(model), tokens):
            yield batch.rows, next_logits(model, batch)
