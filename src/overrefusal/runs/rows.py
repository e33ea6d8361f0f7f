"""Rows of the store as records, and records as rows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from overrefusal.records import Actor, Evidence, Outcome, Prompt, Response, Verdict
from overrefusal.runs.database import Row, pack, unpack
from overrefusal.statistics.tally import Facts

RUN_COLUMNS = """r.id, r.created, r.finished, r.fingerprint, r.suite_hash,
    r.suite_name, r.suite_version, s.size, r.judge, r.variant, r.samples, r.parent,
    r.tool_version"""
RESPONSE_COLUMNS = """a.text, a.thinking, a.finish_reason, a.actor, a.categories, a.truncated,
    a.model_reported, a.input_tokens, a.output_tokens, a.latency_s, a.cost_usd, a.attempts"""
VERDICT_COLUMNS = """v.outcome, v.refusal_probability, v.answered, v.distanced,
    v.evidence_start, v.evidence_end, v.evidence_act, v.text_outcome, v.reason"""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as the store knows it."""

    id: str
    created: float
    """Unix time, seconds."""
    finished: float | None
    fingerprint: str
    suite_hash: str
    suite_name: str
    suite_version: str
    suite_size: int
    judge: str
    """The judge's identity."""
    variant: Mapping[str, Any]
    """What answered: model, system prompt, sampling, label."""
    samples: int
    parent: str | None
    """The run whose responses this one judges again."""
    tool_version: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What statistics needs of one prompt and sample."""

    position: int
    prompt_id: str
    facts: Facts
    sample: int
    outcome: Outcome
    text_outcome: Outcome | None
    truncated: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One prompt and sample of a run with all that is known of it."""

    prompt: Prompt
    sample: int
    response: Response
    """With ``error`` set where the model could not be asked."""
    verdict: Verdict
    response_key: str | None


def run_of(row: Row) -> RunRecord:
    return RunRecord(
        id=row[0],
        created=row[1],
        finished=row[2],
        fingerprint=row[3],
        suite_hash=row[4],
        suite_name=unpack(row[5]),
        suite_version=unpack(row[6]),
        suite_size=row[7],
        judge=row[8],
        variant=json.loads(row[9]),
        samples=row[10],
        parent=row[11],
        tool_version=row[12],
    )


def outcome_of(key: str | None, outcome: str | None) -> Outcome:
    if key is None:
        return Outcome.ERROR
    return Outcome.UNJUDGED if outcome is None else Outcome(outcome)


def response_row(response: Response) -> Row:
    return (
        pack(response.text),
        None if response.thinking is None else pack(response.thinking),
        None if response.finish_reason is None else pack(response.finish_reason),
        response.actor.value if response.actor else None,
        json.dumps(response.categories) if response.categories else "[]",
        int(response.truncated),
        None if response.model_reported is None else pack(response.model_reported),
        _count(response.input_tokens),
        _count(response.output_tokens),
        response.latency_s,
        response.cost_usd,
        response.attempts,
        None if response.raw is None else _json(response.raw),
    )


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        pass
    try:
        # Lone surrogates and whole numbers of over 64 bits, which the standard library can write.
        return json.dumps(value, default=str)
    except (RecursionError, ValueError):
        return json.dumps({"overrefusal": "the payload is nested too deeply to be kept"})


def _count(value: int | None) -> int | None:
    """A provider's count, where a column of 64 bits can hold it."""
    return value if value is None or -(2**63) <= value < 2**63 else None


def response_of(row: Row, raw: str | None) -> Response:
    return Response(
        text=unpack(row[0]),
        thinking=None if row[1] is None else unpack(row[1]),
        finish_reason=None if row[2] is None else unpack(row[2]),
        actor=Actor(row[3]) if row[3] else None,
        categories=tuple(json.loads(row[4])),
        truncated=bool(row[5]),
        model_reported=None if row[6] is None else unpack(row[6]),
        input_tokens=row[7],
        output_tokens=row[8],
        latency_s=row[9],
        cost_usd=row[10],
        attempts=row[11],
        raw=None if raw is None else json.loads(raw),
    )


def verdict_row(key: str, judge: str, verdict: Verdict) -> Row:
    evidence = verdict.evidence
    return (
        key,
        judge,
        verdict.outcome.value,
        verdict.refusal_probability,
        verdict.answered,
        verdict.distanced,
        evidence.start if evidence else None,
        evidence.end if evidence else None,
        evidence.act if evidence else None,
        verdict.text_outcome.value if verdict.text_outcome else None,
        None if verdict.reason is None else pack(verdict.reason),
    )


def verdict_of(row: Row) -> Verdict:
    outcome, probability, answered, distanced, start, end, act, text_outcome, reason = row
    if outcome is None:
        return Verdict(Outcome.UNJUDGED, reason="not judged yet")
    return Verdict(
        outcome=Outcome(outcome),
        refusal_probability=probability,
        answered=answered,
        distanced=distanced,
        evidence=None if act is None else Evidence(start, end, act),
        text_outcome=Outcome(text_outcome) if text_outcome else None,
        reason=None if reason is None else unpack(reason),
    )
