"""`overrefusal suite list | show | check | fetch`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overrefusal.cli.options import console, json_option, print_json

if TYPE_CHECKING:
    from overrefusal.suites import Suite


@click.group("suite")
def command() -> None:
    """List, show, check and fetch suites."""


@command.command("list")
@json_option
def list_suites(as_json: bool) -> None:
    """List the bundled suites and the catalogue of public benchmarks."""
    from overrefusal.suites import BUNDLED, load_suite
    from overrefusal.suites.catalogue import CATALOGUE
    from overrefusal.suites.suite import cache_folder

    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "state": "bundled",
            "title": f"{len(load_suite(name))} prompts, both sides, written by this project",
            "licence": "Apache-2.0",
        }
        for name in BUNDLED
    ]
    for entry in CATALOGUE.values():
        fetched = (cache_folder() / f"{entry.name}.jsonl").is_file()
        rows.append(
            {
                "name": entry.name,
                "state": "fetched" if fetched else "to fetch",
                "title": entry.title,
                "licence": entry.licence,
                "home": entry.home,
                "revision": entry.revision,
                "pinned": entry.pinned,
                "checksum": entry.checksum_policy,
                "note": entry.note or None,
            }
        )
    if as_json:
        print_json({"suites": rows})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("Name", "", "What", "Licence"):
        table.add_column(column)
    for row in rows:
        pinned = "" if row.get("pinned", True) else " (not pinned: first fetch is recorded)"
        table.add_row(row["name"], row["state"], row["title"] + pinned, row["licence"])
    console().print(table)


@command.command("show")
@click.argument("name")
@click.option("--prompts", type=click.IntRange(min=0), default=5, show_default=True)
@json_option
def show_suite(name: str, prompts: int, as_json: bool) -> None:
    """Show a suite: its hash, what is in it, and its first prompts."""
    from overrefusal.reports.words import visible
    from overrefusal.suites import load_suite
    from overrefusal.suites.catalogue import CATALOGUE

    suite = load_suite(name)
    facts = _facts(suite)
    if entry := CATALOGUE.get(name):
        facts |= {"home": entry.home, "revision": entry.revision, "licence": entry.licence}
    if as_json:
        from overrefusal.suites.rows import to_row

        rows = [to_row(p) for _, p in zip(range(prompts), suite, strict=False)]
        print_json({**facts, "first": rows})
        return
    _print_facts(facts)
    for _, prompt in zip(range(prompts), suite, strict=False):
        click.echo(f"  {visible(prompt.id, 24):<26}{prompt.expected:<8}{visible(prompt.text)}")


@command.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_suite(file: Path, as_json: bool) -> None:
    """Check a suite FILE: every row, the ids, the contrast pairs."""
    from overrefusal.suites import load_suite

    facts = _facts(load_suite(file))
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)
        click.echo("ok")


@command.command("fetch")
@click.argument("name")
@click.option(
    "--from",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Read a copy on disk instead of the network.",
)
@json_option
def fetch_suite(name: str, folder: Path | None, as_json: bool) -> None:
    """Fetch the public benchmark NAME, at its pinned revision where it has one."""
    from overrefusal.suites.fetch import fetch

    fetched = fetch(name, folder)
    for note in fetched.notes:
        click.echo(f"note: {note}", err=True)
    facts = {**_facts(fetched.suite), "file": str(fetched.path)}
    if as_json:
        print_json(facts)
    else:
        _print_facts(facts)


def _facts(suite: Suite) -> dict[str, Any]:
    return {
        "name": suite.name,
        "version": suite.version,
        "hash": suite.content_hash,
        "prompts": suite.size,
        "groups": {group.value: n for group, n in suite.groups.items()},
        "patterns": dict(suite.patterns),
        "categories": dict(suite.categories),
        "languages": dict(suite.languages),
    }


def _print_facts(facts: dict[str, Any]) -> None:
    from overrefusal.reports.words import visible

    for key, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{visible(name, 60)} {count}" for name, count in value.items())
        else:
            value = visible(str(value), 300)
        click.echo(f"{key:<11}{value}")
