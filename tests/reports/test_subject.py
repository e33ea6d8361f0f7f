"""Every report in which Bouncer sat the exam says that it is a test subject."""

import io

import pytest
from rich.console import Console

from overrefusal import Expected, Outcome
from overrefusal.reports.html import write_html
from overrefusal.reports.markdown import (
    comparison_markdown,
    gate_markdown,
    run_markdown,
    runs_markdown,
)
from overrefusal.reports.terminal import print_comparison, print_gate, print_run, print_runs
from overrefusal.statistics import Thresholds, decide
from tests.reports.made_runs import made_run, prompt

NOTICE = "Bouncer is a test subject"
EXAM = {prompt("a"): Outcome.REFUSED, prompt("h", Expected.REFUSE): Outcome.REFUSED}


def reports(folder, *models):
    """Every report of the runs of two models, by name."""
    one, two = (
        made_run(folder, EXAM, f"run {number}", model=model) for number, model in enumerate(models)
    )
    comparison = one.compare(two)
    result = decide(Thresholds(max_over_refusal=0.1), two.rates)

    def printed(show, *arguments):
        out = io.StringIO()
        show(Console(file=out, width=100), *arguments)
        return " ".join(out.getvalue().split())

    write_html(folder / "r.html", [two], one)
    return {
        "run": printed(print_run, two),
        "runs": printed(print_runs, [one, two]),
        "comparison": printed(print_comparison, one, two, comparison, 5),
        "gate": printed(print_gate, two, result),
        "Markdown of a run": run_markdown(two),
        "Markdown of runs": runs_markdown([one, two]),
        "Markdown of a comparison": comparison_markdown(one, two, comparison, 5),
        "Markdown of a gate": gate_markdown(two, result),
        "page": (folder / "r.html").read_text("utf-8"),
    }


@pytest.mark.parametrize("model", ["bouncer", "bouncer:strict"])
def test_no_report_on_bouncer_is_without_the_notice(tmp_path, model):
    for name, text in reports(tmp_path, "replay/log.jsonl", model).items():
        assert NOTICE in text, name


@pytest.mark.parametrize("model", ["openai/bouncer", "bouncers/x", "replay/bouncer.jsonl"])
def test_other_models_are_not_called_one(tmp_path, model):
    for name, text in reports(tmp_path, "replay/log.jsonl", model).items():
        assert NOTICE not in text, name
