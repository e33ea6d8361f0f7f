"""The first answer position only: one forward pass a prompt, no answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from overrefusal.models.local.generate import (
    PADDING,
    PREFILL_CPU,
    PREFILL_GPU,
    grouped,
    left_padded,
    out_of_memory,
)
from overrefusal.models.local.load import Loaded
from overrefusal.models.local.slots import spliceable


@torch.inference_mode()
def first_logits(
    loaded: Loaded,
    prompts: Sequence[Sequence[int]],
    reduce: Callable[[torch.Tensor], torch.Tensor] | None = None,
) -> torch.Tensor:
    """Logits of the first token of each prompt's answer: (prompts, vocabulary), float32, CPU.

    ``reduce`` is given the logits (rows, vocabulary) of a few prompts at a time and returns what
    to keep of them, (rows, ...), where the logits of all would not fit in memory.
    """
    model = loaded.model
    most = PREFILL_CPU if model.device.type == "cpu" else PREFILL_GPU
    padding = PADDING if spliceable(model) else 0
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
    kept: dict[int, torch.Tensor] = {}
    while order:
        lengths = [len(prompts[i]) for i in order]
        chosen = order[: grouped(lengths, most, padding)]
        try:
            logits = _pass(loaded, [prompts[i] for i in chosen])
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error) or len(chosen) == 1:
                raise
            most = max(1, most // 2)
            continue
        found = (logits if reduce is None else reduce(logits)).float().cpu()
        kept.update(zip(chosen, found, strict=True))
        del order[: len(chosen)]
    return torch.stack([kept[i] for i in range(len(prompts))])


def _pass(loaded: Loaded, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    model = loaded.model
    ids, positions, mask = left_padded(prompts, int(loaded.tokenizer.pad_token_id), model.device)
    few = {"logits_to_keep": 1} if model._supports_logits_to_keep() else {}
    options = {"position_ids": positions} if spliceable(model) else {}
    out = model(input_ids=ids, attention_mask=mask, use_cache=False, **few, **options)
    logits: torch.Tensor = out.logits[:, -1]
    return logits
