"""What a model answers while its stream is edited, and what the judge makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from overrefusal.activations.edit import Edit, editing
from overrefusal.directions.subject import Subject
from overrefusal.evaluation import run_sync
from overrefusal.judges.protocol import Exchange, Judge, verdicts
from overrefusal.models.thinking import split_thinking
from overrefusal.records import Outcome, Prompt, Response

MAX_TOKENS = 64
"""Tokens of an answer: enough to tell whether it declines."""


def outcomes(
    subject: Subject,
    prompts: Sequence[Prompt],
    judge: Judge,
    edits: Sequence[Edit] = (),
    *,
    max_tokens: int = MAX_TOKENS,
    ids: Sequence[Sequence[int]] | None = None,
) -> list[Outcome]:
    """What the judge says of the greedy answers to ``prompts`` under ``edits``, in order.

    ``ids`` are the prompts as the model is to read them, where that is not as they stand.
    """
    given = [subject.ids(p) for p in prompts] if ids is None else ids
    with editing(subject.structure, *edits):
        responses = answers(subject, given, max_tokens)
    exchanges = [Exchange(p.text, r) for p, r in zip(prompts, responses, strict=True)]
    judged = run_sync(lambda: verdicts(judge, exchanges))
    return [verdict.outcome for verdict in judged]


def answers(
    subject: Subject, prompts: Sequence[Sequence[int]], max_tokens: int = MAX_TOKENS
) -> list[Response]:
    """The greedy answers to prompts of token ids, thinking taken off, in order."""
    tokenizer = subject.loaded.tokenizer
    out: list[Response] = []
    for prompt, tokens in zip(prompts, _generate(subject, prompts, max_tokens), strict=True):
        raw = tokenizer.decode(tokens, skip_special_tokens=False)
        text, thinking = split_thinking(raw)
        if thinking is None:
            text = tokenizer.decode(tokens, skip_special_tokens=True)
        truncated = len(tokens) >= max_tokens
        out.append(
            Response(
                text=text.strip(),
                thinking=thinking,
                truncated=truncated,
                finish_reason="length" if truncated else "stop",
                input_tokens=len(prompt),
                output_tokens=len(tokens),
            )
        )
    return out


def _generate(
    subject: Subject, prompts: Sequence[Sequence[int]], max_tokens: int, rows: int = 64
) -> list[list[int]]:
    import transformers

    model, tokenizer = subject.model, subject.loaded.tokenizer
    ends = model.generation_config.eos_token_id
    ends = {*(ends if isinstance(ends, list) else [ends]), tokenizer.eos_token_id} - {None}
    settings: Any = transformers.GenerationConfig
    config = settings(
        do_sample=False,
        max_new_tokens=max_tokens,
        eos_token_id=sorted(ends) or None,
        pad_token_id=tokenizer.pad_token_id,
    )
    out: list[list[int]] = [[] for _ in prompts]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    for begin in range(0, len(order), rows):
        batch = order[begin : begin + rows]
        width = max(len(prompts[i]) for i in batch)
        ids = torch.full((len(batch), width), tokenizer.pad_token_id)
        mask = torch.zeros_like(ids)
        for row, i in enumerate(batch):
            ids[row, width - len(prompts[i]) :] = torch.tensor(prompts[i])
            mask[row, width - len(prompts[i]) :] = 1
        with torch.inference_mode():
            produced = model.generate(
                ids.to(model.device),
                attention_mask=mask.to(model.device),
                generation_config=config,
            )[:, width:]
        for i, tokens in zip(batch, produced.tolist(), strict=True):
            end = next((j for j, token in enumerate(tokens) if token in ends), None)
            out[i] = tokens if end is None else tokens[:end]
    return out
