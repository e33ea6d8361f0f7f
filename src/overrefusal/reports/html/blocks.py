"""Data inside the page: compressed blocks that nothing in them can break out of."""

from __future__ import annotations

import zlib
from base64 import b64encode
from typing import Any

import orjson

from overrefusal.files import valid
from overrefusal.records import Response, Verdict
from overrefusal.reports.html.rows import Row

ROWS = 250
"""Rows a block: decoded in a few milliseconds, and still compressing well."""


def block(name: str, value: Any) -> bytes:
    """A script element of class ``name`` that holds ``value``: JSON, deflated, in base64.

    Base64 has no ``<``, so that no text in ``value`` can end the element.
    """
    packed = b64encode(zlib.compress(orjson.dumps(value), 6))
    return b'<script type="text/plain" class="%s">%s</script>\n' % (name.encode(), packed)


def row_data(row: Row) -> dict[str, Any]:
    """One row as the page reads it; fields that say nothing are left out."""
    prompt = row.prompt
    return _said(
        id=prompt.id,
        turns=[[message.role, _valid(message.content)] for message in prompt.messages],
        system=prompt.system,
        contrast_of=prompt.contrast_of,
        source=prompt.source,
        licence=prompt.licence,
        runs={
            str(run): [_sample(item.response, item.verdict) for item in items]
            for run, items in row.items.items()
        },
    )


def _sample(response: Response, verdict: Verdict) -> dict[str, Any]:
    evidence = verdict.evidence
    return _said(
        outcome=verdict.outcome.value,
        text=_valid(response.text),
        thinking=_valid(response.thinking),
        actor=response.actor.value if response.actor else None,
        categories=[_valid(category) for category in response.categories],
        finish_reason=_valid(response.finish_reason),
        truncated=response.truncated,
        error=_valid(response.error),
        model=_valid(response.model_reported),
        probability=verdict.refusal_probability,
        answered=verdict.answered,
        distanced=verdict.distanced,
        evidence=[evidence.start, evidence.end, evidence.act] if evidence else None,
        text_outcome=verdict.text_outcome.value if verdict.text_outcome else None,
        reason=_valid(verdict.reason) if verdict.reason != response.error else None,
    )


def _said(**fields: Any) -> dict[str, Any]:
    return {
        name: value
        for name, value in fields.items()
        if value is not None and value is not False and value != "" and value != []
    }


def _valid(text: str | None) -> str | None:
    return None if text is None else valid(text)
