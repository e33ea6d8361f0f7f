"""`overrefusal calibrate`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from overrefusal.cli.options import console, json_option, print_json, store_option
from overrefusal.errors import OverrefusalError

if TYPE_CHECKING:
    from overrefusal.runs.rows import Observation
    from overrefusal.runs.run import Run

KEYS = "[c]omplied  [p]artial  [r]efused  [g]arbled   [s]kip  [b]ack  [q]uit"


@click.command("calibrate")
@click.argument("run", required=False)
@click.option("--sample", "size", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@store_option
@json_option
def command(run: str | None, size: int, seed: int, store: str | None, as_json: bool) -> None:
    """Label a sample of RUN by hand; its rates then carry a correction for the judge's errors.

    Every label is kept at once, and repeating the command goes on where it was left. The judge's
    own verdict is not shown, so that it sways nobody. With --json only the corrected rates are
    printed.
    """
    from overrefusal.evaluation import load_run
    from overrefusal.runs.calibration import draw

    labelled = load_run(run, store)
    sample = draw(labelled.store, labelled.record, size, seed)
    if not as_json:
        if not sys.stdin.isatty():
            raise OverrefusalError("calibrate reads keys from a terminal; run it in one")
        _label(labelled, sample)
        labelled = load_run(labelled.id, store)
    known = labelled.store.labels(labelled.id)
    if as_json:
        report = labelled.to_dict()
        print_json(
            {
                "run": labelled.id,
                "labels": len(known),
                "wanted": len(sample),
                "rates": {
                    side: report["rates"][side] for side in ("over_refusal", "harmful_refusal")
                },
                "corrected": report["corrected"],
            }
        )
        return
    from overrefusal.reports.terminal import print_run

    print_run(console(), labelled)


def _label(run: Run, sample: list[Observation]) -> None:
    """Ask for a label of each response of the sample that has none."""
    from overrefusal.reports.terminal import print_exchange
    from overrefusal.runs.calibration import LABELS

    known = run.store.labels(run.id)
    place = next((i for i, o in enumerate(sample) if (o.position, o.sample) not in known), None)
    terminal = console()
    while place is not None and place < len(sample):
        chosen = sample[place]
        item = next(i for i in run.items([chosen.position]) if i.sample == chosen.sample)
        print_exchange(terminal, item, f"{place + 1} of {len(sample)}")
        click.echo(KEYS)
        key = click.getchar().lower()
        if key == "q":
            return
        if key in LABELS:
            run.store.add_label(run.id, chosen.position, chosen.sample, LABELS[key])
            place += 1
        elif key == "s":
            place += 1
        elif key == "b":
            place = max(0, place - 1)
