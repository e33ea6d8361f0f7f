"""Options and output shared by several commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from overrefusal.errors import OverrefusalError

if TYPE_CHECKING:
    from rich.console import Console

store_option = click.option(
    "--store",
    metavar="FILE|URL",
    help="Run store: an SQLite file or a postgresql:// URL. "
    "[default: $OVERREFUSAL_STORE, else overrefusal.db]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2, default=str).decode())


def console() -> Console:
    """Where reports are printed."""
    from rich.console import Console

    return Console(highlight=False)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all."""
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OverrefusalError(f"{path}: cannot be written: {error.strerror}") from None


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
