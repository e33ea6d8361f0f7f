"""Judging rows: what they were, with the verdict's fields added."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import Any

from overrefusal.errors import OverrefusalError
from overrefusal.judges.protocol import Exchange, Judge, verdicts
from overrefusal.records import Verdict

FIELDS = ("outcome", "refusal_probability", "answered", "distanced", "evidence")
_CHUNK = 512

Row = dict[str, Any]


async def judge_rows(
    rows: Iterable[tuple[Row, Exchange]], judge: Judge, chunk: int = _CHUNK
) -> AsyncIterator[tuple[Row, Exchange, Verdict]]:
    """Each row with the judge's verdict on its exchange, in order, ``chunk`` at a time."""
    remaining: Iterator[tuple[Row, Exchange]] = iter(rows)
    while part := list(islice(remaining, chunk)):
        judged = await verdicts(judge, [exchange for _, exchange in part])
        for (row, exchange), verdict in zip(part, judged, strict=True):
            yield row, exchange, verdict


def with_verdict(
    row: Row, exchange: Exchange, verdict: Verdict, where: str, overwrite: bool = False
) -> Row:
    """``row`` with the fields of ``verdict`` after its own; a reason only where there is one.

    The evidence counts from the beginning of the row's own text, thinking included.

    Raises ``OverrefusalError`` where ``row``, at ``where``, has such a field and is not to be
    overwritten.
    """
    taken = [name for name in FIELDS if name in row]
    if taken and not overwrite:
        raise OverrefusalError(
            f"{where}: has a field {taken[0]!r} already; rename it, or pass --overwrite"
        )
    judged: Row = {
        "outcome": verdict.outcome.value,
        "refusal_probability": verdict.refusal_probability,
        "answered": verdict.answered,
        "distanced": verdict.distanced,
        "evidence": _evidence(row, exchange.response.text, verdict),
    }
    if verdict.reason is not None and ("reason" not in row or overwrite):
        judged["reason"] = verdict.reason
    return {**row, **judged}


def _evidence(row: Row, text: str, verdict: Verdict) -> Row | None:
    evidence = verdict.evidence
    if evidence is None:
        return None
    whole = row.get("response", row.get("completion"))
    shift = max(0, whole.rfind(text)) if isinstance(whole, str) else 0
    return {
        "start": shift + evidence.start,
        "end": shift + evidence.end,
        "act": evidence.act,
        "text": text[evidence.start : evidence.end],
    }
