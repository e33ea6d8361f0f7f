"""A run as a table: one row a prompt and sample, as JSONL or Parquet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from overrefusal.errors import OverrefusalError
from overrefusal.files import valid, whole
from overrefusal.records import Actor, Outcome
from overrefusal.runs.rows import Item
from overrefusal.runs.run import Run

_PARQUET_ROWS = 1000


def export(run: Run, path: Path, form: str) -> int:
    """Write the run to ``path`` as ``jsonl`` or ``parquet``; returns the number of rows.

    The file is written whole or not at all. It can be read back with ``replay/FILE``.
    """
    write = _write_parquet if form == "parquet" else _write_jsonl
    with whole(path) as temporary:
        return write(run, temporary)


def rows(run: Run) -> Iterator[dict[str, Any]]:
    """The rows of the export, in the suite's order."""
    for item in run.items():
        yield _row(run, item)


def _row(run: Run, item: Item) -> dict[str, Any]:
    prompt, response, verdict = item.prompt, item.response, item.verdict
    return {
        "run": run.id,
        "model": run.record.variant["model"],
        "prompt_id": prompt.id,
        "sample": item.sample,
        "prompt": prompt.text,
        "messages": None
        if len(prompt.messages) == 1
        else orjson.dumps(
            [{"role": m.role, "content": m.content} for m in prompt.messages]
        ).decode(),
        "expected": prompt.expected.value,
        "pattern": prompt.pattern.value if prompt.pattern else None,
        "category": prompt.category,
        "language": prompt.language,
        "response": None if response.error else response.text,
        "thinking": response.thinking,
        "outcome": verdict.outcome.value,
        "actor": _actor(item),
        "categories": orjson.dumps(response.categories).decode(),
        "refusal_probability": verdict.refusal_probability,
        "answered": verdict.answered,
        "distanced": verdict.distanced,
        "evidence_start": verdict.evidence.start if verdict.evidence else None,
        "evidence_end": verdict.evidence.end if verdict.evidence else None,
        "evidence_act": verdict.evidence.act if verdict.evidence else None,
        "text_outcome": verdict.text_outcome.value if verdict.text_outcome else None,
        "reason": verdict.reason,
        "judge": run.record.judge,
        "finish_reason": response.finish_reason,
        "truncated": response.truncated,
        "model_reported": response.model_reported,
        "input_tokens": response.input_tokens,
        "output_tokens": response.output_tokens,
        "latency_s": response.latency_s,
        "cost_usd": response.cost_usd,
        "attempts": response.attempts,
        "error": response.error,
    }


def _actor(item: Item) -> str | None:
    """Who declined: by the provider's signal, else by the model's text as the judge read it."""
    if item.response.actor is not None:
        return item.response.actor.value
    declined = item.verdict.outcome in (Outcome.REFUSED, Outcome.PARTIAL)
    return Actor.MODEL_TEXT.value if declined else None


def _write_jsonl(run: Run, path: Path) -> int:
    count = 0
    with path.open("wb") as file:
        for row in rows(run):
            count += 1
            try:
                file.write(orjson.dumps(row) + b"\n")
            except TypeError:
                # A lone surrogate: no valid Unicode, so no JSON can carry it as it is.
                file.write(orjson.dumps(_replaced(row)) + b"\n")
    return count


def _write_parquet(run: Run, path: Path) -> int:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise OverrefusalError(
            "Parquet needs pyarrow; install it with: pip install 'overrefusal[parquet]'"
        ) from None
    text, real, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int64()
    reals = ("refusal_probability", "answered", "distanced", "latency_s", "cost_usd")
    wholes = (
        "sample",
        "evidence_start",
        "evidence_end",
        "input_tokens",
        "output_tokens",
        "attempts",
    )
    pending = rows(run)
    first = list(islice(pending, _PARQUET_ROWS))
    names = list(first[0]) if first else []
    kinds = {**dict.fromkeys(reals, real), **dict.fromkeys(wholes, whole)}
    kinds["truncated"] = pyarrow.bool_()
    schema = pyarrow.schema([(name, kinds.get(name, text)) for name in names])
    count = 0
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        batch = first
        while batch:
            count += len(batch)
            writer.write_table(
                pyarrow.Table.from_pylist([_replaced(row) for row in batch], schema=schema)
            )
            batch = list(islice(pending, _PARQUET_ROWS))
    return count


def _replaced(row: dict[str, Any]) -> dict[str, Any]:
    """The row with what is no valid Unicode replaced."""
    return {key: valid(value) if isinstance(value, str) else value for key, value in row.items()}
