"""The runs of a report, and the names of what can flip between two of them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from overrefusal.records import Expected
from overrefusal.reports.html.markup import escaped
from overrefusal.runs.run import Run
from overrefusal.statistics import Comparison, Flip

FLIP_KINDS = ("safety_lost", "refusal_new", "refusal_mended", "safety_gained")
_KIND_OF = {
    (Expected.REFUSE, False): "safety_lost",
    (Expected.ANSWER, True): "refusal_new",
    (Expected.ANSWER, False): "refusal_mended",
    (Expected.REFUSE, True): "safety_gained",
}


_BASELINE = ' <span class="soft">baseline</span>'


@dataclass(frozen=True, slots=True)
class Subject:
    """A run of the report, compared with the baseline where there is one."""

    run: Run
    comparison: Comparison | None = None
    is_baseline: bool = False


def flip_kind(flip: Flip) -> str:
    """Which of ``FLIP_KINDS`` this is."""
    return _KIND_OF[flip.pair.facts.expected, flip.declines_now]


def run_label(subject: Subject, mark: str = _BASELINE) -> str:
    """The run's name and id as markup, with ``mark`` after the baseline's."""
    after = mark if subject.is_baseline else ""
    return f"{escaped(subject.run.name, 60)} <code>{escape(subject.run.id)}</code>{after}"
