"""What the site's build makes from the code instead of keeping a copy of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

PACKAGE = Path(__file__).parents[2] / "src" / "overrefusal"
WIDTH = 88
_CARD = re.compile(r"<!-- card (\S+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills the places that a page leaves for the catalogue, a model card or the commands' help."""
    markdown = markdown.replace("<!-- catalogue -->", catalogue())
    markdown = markdown.replace("<!-- commands -->", commands())
    return _CARD.sub(lambda found: (PACKAGE / found[1]).read_text(encoding="utf-8"), markdown)


def catalogue() -> str:
    """The catalogue of public benchmarks as a table."""
    from overrefusal.suites.catalogue import CATALOGUE

    rows = ["| name | what | licence | revision | SHA-256 |", "|---|---|---|---|---|"]
    for entry in CATALOGUE.values():
        what = f"[{entry.title}]({entry.home})" + (f"; {entry.note}" if entry.note else "")
        revision = f"`{entry.revision[:12]}`"
        pinned = all(source.sha256 for source in entry.sources)
        checksum = "pinned" if pinned else "first fetch"
        cells = (f"`{entry.name}`", what, entry.licence, revision, checksum)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def commands() -> str:
    """One section a command with its own help text."""
    from overrefusal.cli import COMMANDS, group

    sections = [_section(group, "overrefusal")]
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        assert command is not None
        sections.append(_section(command, f"overrefusal {name}"))
        if isinstance(command, click.Group):
            sections += [
                _section(sub, f"overrefusal {name} {sub.name}") for sub in command.commands.values()
            ]
    return "\n\n".join(sections)


def _section(command: click.Command, name: str) -> str:
    context = click.Context(
        command, info_name=name, terminal_width=WIDTH, help_option_names=["-h", "--help"]
    )
    return f"## `{name}`\n\n```text\n{command.get_help(context)}\n```"
