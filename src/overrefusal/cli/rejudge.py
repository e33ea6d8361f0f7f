"""`overrefusal rejudge`."""

from __future__ import annotations

import click

from overrefusal.cli.options import (
    exit_on_failures,
    json_option,
    max_error_share_option,
    progress_printer,
    show,
    store_option,
)


@click.command("rejudge")
@click.argument("run", required=False)
@click.option("--judge", required=True, help="The judge's spec.")
@max_error_share_option
@store_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    run: str | None,
    judge: str,
    max_error_share: float,
    store: str | None,
    as_json: bool,
) -> None:
    """Judge the responses of RUN (the newest by default) with another judge, as a run of its own.

    The model is never asked.
    """
    from overrefusal.evaluation import load_run, rejudge

    parent = load_run(run, store)
    update, stop = progress_printer("rejudge")
    try:
        judged = rejudge(parent, judge, update)
    finally:
        stop()
    show(judged, as_json)
    exit_on_failures(context, judged.failed_share, max_error_share)
