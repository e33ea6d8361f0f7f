"""`overrefusal report`."""

from __future__ import annotations

from pathlib import Path

import click

from overrefusal.cli.options import console, json_option, print_json, store_option
from overrefusal.errors import OverrefusalError
from overrefusal.files import write_whole


@click.command("report")
@click.argument("runs", nargs=-1)
@click.option(
    "--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write Markdown there."
)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write one self-contained page there, with every prompt and response.",
)
@click.option("--baseline", metavar="RUN", help="With --html: show what flipped against this run.")
@store_option
@json_option
def command(
    runs: tuple[str, ...],
    markdown: Path | None,
    page: Path | None,
    baseline: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Report RUNS (the newest by default): both rates with intervals, and where they come from."""
    from overrefusal.evaluation import load_run

    if baseline is not None and page is None:
        raise OverrefusalError("--baseline needs --html FILE; `overrefusal compare` prints flips")
    loaded = [load_run(run, store) for run in runs or (None,)]
    if markdown is not None:
        from overrefusal.reports.markdown import run_markdown, runs_markdown

        text = run_markdown(loaded[0]) if len(loaded) == 1 else runs_markdown(loaded)
        write_whole(markdown, text)
        click.echo(f"wrote {markdown}", err=True)
    if page is not None:
        from overrefusal.reports.html import write_html

        write_html(page, loaded, load_run(baseline, store) if baseline else None)
        click.echo(f"wrote {page}", err=True)
    if as_json:
        print_json({"runs": [run.to_dict() for run in loaded]})
    elif markdown is None and page is None:
        from overrefusal.reports.terminal import print_run, print_runs

        terminal = console()
        if len(loaded) > 1:
            print_runs(terminal, loaded)
        else:
            print_run(terminal, loaded[0])
