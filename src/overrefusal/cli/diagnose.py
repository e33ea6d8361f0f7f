"""`overrefusal diagnose`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from overrefusal.cli.options import (
    console,
    json_option,
    print_json,
    progress_printer,
    store_option,
)


@click.command("diagnose")
@click.argument("run", required=False)
@click.option("--prompt", metavar="ID", help="Only this prompt.")
@click.option(
    "--limit", type=click.IntRange(min=1), help="Only so many over-refusals, drawn by --seed."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--white-box",
    is_flag=True,
    help="Order the words by the gradients of a local model (hf/NAME, bouncer).",
)
@click.option(
    "--budget",
    type=click.IntRange(min=3),
    default=16,
    show_default=True,
    help="Questions to the model for the words of one prompt.",
)
@click.option("--words-only", is_flag=True, help="Do not ask what would help.")
@click.option("--llm", metavar="MODEL", help="Let this model name the patterns.")
@click.option("--model", metavar="MODEL", help="Ask this model and not the run's.")
@click.option("--judge", metavar="JUDGE", help="Read the answers by this judge.")
@click.option("--base-url", metavar="URL", help="Where an endpoint/ model listens.")
@click.option("--concurrency", type=click.IntRange(min=1), default=32, show_default=True)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the run's report with the diagnosis there.",
)
@store_option
@json_option
def command(
    run: str | None, as_json: bool, page: Path | None, store: str | None, **options: Any
) -> None:
    """Say why RUN (the newest by default) declined what it should answer, and what would help.

    For each over-refusal: its pattern, the words that it hangs on, verified by asking the model
    with these words changed, and the smallest change that was seen to help. Answers are kept in the
    store, so an interrupted diagnosis goes on when the command is repeated.
    """
    from overrefusal.diagnosis import diagnose
    from overrefusal.evaluation import Connection, load_run

    loaded = load_run(run, store)
    connection = Connection(base_url=options["base_url"], concurrency=options["concurrency"])
    update, stop = progress_printer("diagnose")
    try:
        report = diagnose(
            loaded,
            prompt=options["prompt"],
            limit=options["limit"],
            seed=options["seed"],
            white_box=options["white_box"],
            budget=options["budget"],
            mend=not options["words_only"],
            llm=options["llm"],
            model=options["model"],
            judge=options["judge"],
            connection=connection,
            on_progress=update,
        )
    finally:
        stop()
    if page is not None:
        from overrefusal.reports.html import write_html

        write_html(page, [loaded], diagnosis=report)
        click.echo(f"wrote {page}", err=True)
    if as_json:
        print_json(report.to_dict())
    elif page is None:
        from overrefusal.reports.diagnosis import print_diagnosis

        print_diagnosis(console(), report, one=options["prompt"] is not None)
