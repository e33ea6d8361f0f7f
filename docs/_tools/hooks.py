"""What the site's build makes from the code instead of keeping a copy of it."""

from __future__ import annotations

from typing import Any

import click

WIDTH = 88


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fills the places that a page leaves for the catalogue and the command line's help."""
    markdown = markdown.replace("<!-- catalogue -->", catalogue())
    return markdown.replace("<!-- commands -->", commands())


def catalogue() -> str:
    """The catalogue of public benchmarks as a table."""
    from overrefusal.suites.catalogue import CATALOGUE

    rows = ["| name | what | licence | revision | bytes vouched for by |", "|---|---|---|---|---|"]
    for entry in CATALOGUE.values():
        what = f"[{entry.title}]({entry.home})" + (f"; {entry.note}" if entry.note else "")
        revision = f"`{entry.revision[:12]}`"
        cells = (f"`{entry.name}`", what, entry.licence, revision, entry.checksum_policy)
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
