"""`overrefusal compare`."""

from __future__ import annotations

from pathlib import Path

import click

from overrefusal.cli.options import console, json_option, print_json, store_option
from overrefusal.files import write_whole


@click.command("compare")
@click.argument("before")
@click.argument("after")
@click.option(
    "--flips",
    "limit",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    help="How many flipped prompts of each kind to show.",
)
@click.option(
    "--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write Markdown there."
)
@store_option
@json_option
def command(
    before: str, after: str, limit: int, markdown: Path | None, store: str | None, as_json: bool
) -> None:
    """Compare two runs of one suite: model versions, models or system prompts; flips first."""
    from overrefusal.evaluation import load_run

    earlier, later = load_run(before, store), load_run(after, store)
    comparison = earlier.compare(later)
    if markdown is not None:
        from overrefusal.reports.markdown import comparison_markdown

        write_whole(markdown, comparison_markdown(earlier, later, comparison, limit))
        click.echo(f"wrote {markdown}", err=True)
    if as_json:
        print_json({"before": earlier.id, "after": later.id, "comparison": comparison.to_dict()})
    elif markdown is None:
        from overrefusal.reports.terminal import print_comparison

        print_comparison(console(), earlier, later, comparison, limit)
