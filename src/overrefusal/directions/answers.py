"""What a model answers while its stream is edited, and what the judge makes of it."""

from __future__ import annotations

from collections.abc import Sequence

from overrefusal.activations.edit import Edit, editing
from overrefusal.directions.subject import Subject
from overrefusal.evaluation import run_sync
from overrefusal.judges.protocol import Exchange, Judge, verdicts
from overrefusal.models.local.generate import end_tokens, generate
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
    tokenizer, ends = subject.loaded.tokenizer, end_tokens(subject.loaded)
    out: list[Response] = []
    for prompt, tokens in zip(prompts, generate(subject.loaded, prompts, max_tokens), strict=True):
        raw = tokenizer.decode(tokens, skip_special_tokens=False)
        text, thinking = split_thinking(raw)
        if thinking is None:
            text = tokenizer.decode(tokens, skip_special_tokens=True)
        truncated = not tokens or tokens[-1] not in ends
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
