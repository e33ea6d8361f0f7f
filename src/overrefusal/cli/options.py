"""Options and output shared by several commands."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from overrefusal.errors import OverrefusalError

if TYPE_CHECKING:
    from rich.console import Console

    from overrefusal.runs.run import Run

store_option = click.option(
    "--store",
    metavar="FILE|URL",
    help="Run store: an SQLite file or a postgresql:// URL. "
    "[default: $OVERREFUSAL_STORE, else overrefusal.db]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

max_error_share_option = click.option(
    "--max-error-share",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="Exit with 3 where more ended as error or unjudged.",
)


def exit_on_failures(context: click.Context, failed_share: float, tolerated: float) -> None:
    """Leave with code 3 where too much was not asked or not judged."""
    if failed_share > tolerated:
        click.echo(
            f"{failed_share:.1%} of the prompts ended as error or unjudged, more than "
            f"{tolerated:.1%}; repeat the command to try them again",
            err=True,
        )
        context.exit(3)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    click.echo(json_bytes(value, indent=2))


def json_bytes(value: Any, indent: int | None = None) -> bytes:
    """``value`` as JSON, indented by 2 or on one line."""
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2 if indent else None, default=str)
    except TypeError:
        # Lone surrogates and whole numbers of over 64 bits, which the standard library can write.
        return json.dumps(value, indent=indent, default=str).encode()


def console() -> Console:
    """Where reports are printed."""
    from rich.console import Console

    class Reports(Console):
        def on_broken_pipe(self) -> None:
            # rich would leave with 1, which says that a gate failed.
            raise BrokenPipeError

    return Reports(highlight=False)


def show(run: Run, as_json: bool) -> None:
    """Print one run, for a person or as JSON."""
    if as_json:
        print_json(run.to_dict())
        return
    from overrefusal.reports.terminal import print_run

    print_run(console(), run)


def read_text(path: Path) -> str:
    """A text file that an option names."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise OverrefusalError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise OverrefusalError(f"{path}: not UTF-8; save it in that encoding") from None


def progress_printer(what: str) -> tuple[Callable[[Any], None], Callable[[], None]]:
    """A callback for ``Progress`` and one for the end: a bar on a terminal, else plain lines."""
    if sys.stderr.isatty():
        return _bar(what)
    return _lines(what)


def _bar(what: str) -> tuple[Callable[[Any], None], Callable[[], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(what, total=None, note="")
    bar.start()

    def update(progress: Any) -> None:
        note = f"{progress.errors} errors" if progress.errors else ""
        bar.update(task, total=progress.total, completed=progress.done, note=note)

    return update, bar.stop


def _lines(what: str) -> tuple[Callable[[Any], None], Callable[[], None]]:
    printed = -1

    def update(progress: Any) -> None:
        nonlocal printed
        tenth = progress.done * 10 // max(1, progress.total)
        if tenth > printed:
            printed = tenth
            errors = f", {progress.errors} errors" if progress.errors else ""
            click.echo(f"{what}: {progress.done} of {progress.total}{errors}", err=True)

    return update, lambda: None
