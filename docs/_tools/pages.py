"""What a page asks to be run: its commands, files and Python, in the page's order. The pages are
those of the docs, and the README.

A comment before a fence says more about it than its language does:

    <!-- file support.yaml -->           the block is written to that file
    <!-- run exit=1 lines=12 -->         the command's exit code; how many lines of output are shown
    <!-- run person -->                  somebody labels on a pseudo-terminal
    <!-- run needs=torch -->             a module beyond the core, without which it is left out
    <!-- run steps -->                   the block is a workflow, its `run:` steps are commands
    <!-- setup ... -->                   commands that readers do not see
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

DOCS = Path(__file__).parents[1]
README = DOCS.parent / "README.md"
_TOKEN = re.compile(
    r"^<!-- setup\n(?P<setup>.*?)\n-->$"
    r"|(?:^<!-- (?P<kind>file|run) (?P<options>[^\n]*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Step:
    """One thing to do: ``kind`` is setup, file, command, python or workflow."""

    page: str
    line: int
    kind: str
    text: str
    shown: str | None = None
    """The output that the page shows; ``None`` where it shows none."""
    options: dict[str, str] = field(default_factory=dict)


def pages() -> list[Path]:
    """Every page, in a fixed order."""
    return [*sorted(p for p in DOCS.rglob("*.md") if "_tools" not in p.parts), README]


def page_name(path: Path) -> str:
    """How a page is called: from the root of the docs, or the README by its name."""
    return path.name if path == README else path.relative_to(DOCS).as_posix()


def steps(path: Path) -> list[Step]:
    """What page ``path`` asks to be run."""
    return list(_steps(path, path.read_text(encoding="utf-8")))


def _steps(path: Path, text: str) -> Iterator[Step]:
    page = page_name(path)
    for found in _TOKEN.finditer(text):
        line = text[: found.start()].count("\n") + 1
        if found["setup"] is not None:
            yield Step(page, line, "setup", found["setup"])
            continue
        indent, language = found["indent"], found["language"]
        body = "".join(row.removeprefix(indent) for row in found["body"].splitlines(True))
        options = found["options"] or ""
        if found["kind"] == "file":
            yield Step(page, line, "file", body, options={"name": options})
            continue
        given = dict(part.partition("=")[::2] for part in options.split())
        if language == "console":
            for command, output in _console(body):
                yield Step(page, line, "command", command, output, given)
        elif language == "bash":
            for command in _commands(body):
                yield Step(page, line, "command", command, None, given)
        elif language == "python":
            yield Step(page, line, "python", body, options=given)
        elif "steps" in given:
            yield Step(page, line, "workflow", body, options=given)


def _console(body: str) -> Iterator[tuple[str, str]]:
    """Each command after a ``$`` with the output below it."""
    for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(True)
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\\n"))
        yield "".join(lines[: end + 1]).rstrip("\n"), "".join(lines[end + 1 :])


def _commands(body: str) -> Iterator[str]:
    for command in re.split(r"(?<!\\)\n", body):
        bare = re.sub(r"\s+#\s.*$", "", command)
        if bare.strip() and not bare.lstrip().startswith("#"):
            yield bare.strip()
