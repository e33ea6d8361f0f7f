"""`overrefusal runs list | show | export`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from overrefusal.cli.options import console, json_option, print_json, show, store_option


@click.group("runs")
def command() -> None:
    """List, show and export runs."""


@command.command("list")
@store_option
@json_option
def list_runs(store: str | None, as_json: bool) -> None:
    """List all runs, newest first."""
    from overrefusal.evaluation import open_store

    records = open_store(store).runs()
    if as_json:
        rows: list[dict[str, Any]] = [
            {
                "run": r.id,
                "created": r.created,
                "finished": r.finished,
                "suite": r.suite_name,
                "suite_hash": r.suite_hash,
                "judge": r.judge,
                "variant": dict(r.variant),
                "samples": r.samples,
                "parent": r.parent,
            }
            for r in records
        ]
        print_json({"runs": rows})
        return
    from rich.table import Table
    from rich.text import Text

    from overrefusal.reports.words import visible

    table = Table(box=None, pad_edge=False)
    for column in ("Run", "When", "Model", "Label", "Suite", "Judge", ""):
        table.add_column(column)
    for r in records:
        when = datetime.fromtimestamp(r.created).strftime("%Y-%m-%d %H:%M")
        cells = (str(r.variant["model"]), str(r.variant.get("label") or ""), r.suite_name, r.judge)
        state = "" if r.finished else "unfinished"
        table.add_row(r.id, when, *(Text(visible(cell, 40)) for cell in cells), state)
    console().print(table if records else "no runs yet; `overrefusal eval` makes one")


@command.command("show")
@click.argument("run", required=False)
@store_option
@json_option
def show_run(run: str | None, store: str | None, as_json: bool) -> None:
    """Show RUN (the newest by default): its settings, rates and outcomes."""
    from overrefusal.evaluation import load_run

    show(load_run(run, store), as_json)


@command.command("export")
@click.argument("run", required=False)
@click.option("--format", "form", type=click.Choice(["jsonl", "parquet"]), default="jsonl")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, metavar="FILE")
@store_option
@json_option
def export_run(run: str | None, form: str, output: Path, store: str | None, as_json: bool) -> None:
    """Export RUN (the newest by default), one row a prompt and sample."""
    from overrefusal.evaluation import load_run
    from overrefusal.reports.export import export

    exported = load_run(run, store)
    rows = export(exported, output, form)
    if as_json:
        print_json({"run": exported.id, "rows": rows, "file": str(output)})
    else:
        click.echo(f"wrote {rows} rows to {output}", err=True)
