"""`overrefusal judge`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from overrefusal.cli.options import json_bytes, json_option, print_json
from overrefusal.errors import OverrefusalError
from overrefusal.files import whole

if TYPE_CHECKING:
    from overrefusal.judges.protocol import Exchange, Judge


@click.command("judge")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--judge", "spec", default="rules", show_default=True, help="The judge's spec.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE.jsonl",
    help="Where the judged rows go; - for standard output.",
)
@click.option("--overwrite", is_flag=True, help="Replace fields that the rows have already.")
@json_option
def command(file: Path, spec: str, output: Path, overwrite: bool, as_json: bool) -> None:
    """Judge the rows of FILE (JSONL, CSV or Parquet), each with a prompt and a response.

    Adds outcome, refusal_probability, answered, distanced and evidence to each row; order and
    other fields stay as they are.
    """
    from overrefusal.evaluation import run_sync
    from overrefusal.judges.registry import get_judge
    from overrefusal.models.registry import open_model

    to_stdout = str(output) == "-"
    if to_stdout and as_json:
        raise OverrefusalError("-o - and --json both write to standard output; name a file with -o")
    judge = get_judge(spec, open_model)
    counts = run_sync(lambda: _write(file, output, judge, overwrite))
    if as_json:
        print_json({"file": str(output), "judge": judge.identity, "rows": counts.total(),
                    "outcomes": dict(counts)})  # fmt: skip
    else:
        said = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
        click.echo(
            f"{counts.total()} rows judged by {judge.identity}: {said or 'none'}", err=to_stdout
        )


def exchanges(file: Path) -> Iterator[tuple[dict[str, Any], Exchange]]:
    """The rows of ``file`` with what a judge sees of them.

    Raises ``OverrefusalError`` naming the row that cannot be read or has no response.
    """
    from overrefusal.judges.protocol import Exchange
    from overrefusal.models.replay import recorded_prompt, recorded_response
    from overrefusal.models.rows import read_rows

    for number, row in read_rows(file):
        if "response" not in row and "completion" not in row:
            raise OverrefusalError(
                f"{file}, row {number}: no field 'response' (or 'completion'); rename its column"
            )
        yield row, Exchange(recorded_prompt(row) or "", recorded_response(row))


@contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    if str(output) == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with whole(output) as temporary, temporary.open("wb") as lines:
        yield lines


async def _write(file: Path, output: Path, judge: Judge, overwrite: bool) -> Counter[str]:
    from overrefusal.judges.rows import judge_rows, with_verdict

    counts: Counter[str] = Counter()
    try:
        with _opened(output) as lines:
            async for row, exchange, verdict in judge_rows(exchanges(file), judge):
                where = f"{file}, row {counts.total() + 1}"
                judged = with_verdict(row, exchange, verdict, where, overwrite)
                lines.write(json_bytes(judged) + b"\n")
                counts[verdict.outcome.value] += 1
    finally:
        await judge.close()
    return counts
