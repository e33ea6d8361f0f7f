"""Rates by pattern, category and language: tables with a bar in every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from overrefusal.reports.html.charts import rate_bar
from overrefusal.reports.html.index import Index
from overrefusal.reports.html.markup import browse_link, escaped, rate_cell
from overrefusal.reports.html.subjects import Subject
from overrefusal.reports.words import PATTERNS, worst_first
from overrefusal.statistics import Rate, Sides
from overrefusal.statistics.rates import ABSENT

_RUNS = 4
"""More runs than these side by side in a breakdown are no table that a person reads."""
_LINES = 24
"""Lines shown at once; further groups unfold."""


@dataclass(frozen=True, slots=True)
class _Group:
    label: str
    """Markup."""
    rates: list[tuple[Rate | None, Rate | None]]
    """Over-refusal and harmful refusal by run."""


def breakdowns(subjects: Sequence[Subject], index: Index) -> str:
    """A table for each of the three, where a run has more than one group."""
    shown = _shown(subjects)
    twins = [index.twin_rates(subjects.index(subject)) for subject in shown]
    rates = [subject.run.rates for subject in shown]
    tables = [
        ("Pattern", _patterns([rate.by_pattern for rate in rates], twins)),
        ("Category", _both("category", [rate.by_category for rate in rates])),
        ("Language", _both("language", [rate.by_language for rate in rates])),
    ]
    parts = [_table(title, groups, shown) for title, groups in tables if len(groups) > 1]
    if not parts:
        return '<p class="soft">The suite has one pattern, one category and one language.</p>'
    if len(shown) < len(subjects):
        note = f"{len(shown)} of the {len(subjects)} runs are shown here."
        parts.insert(0, f'<p class="soft">{note}</p>')
    return "".join(parts)


def _shown(subjects: Sequence[Subject]) -> list[Subject]:
    """As many runs as fit, the baseline among them."""
    if len(subjects) <= _RUNS:
        return list(subjects)
    baseline = [subject for subject in subjects if subject.is_baseline]
    others = [subject for subject in subjects if not subject.is_baseline]
    return others[: _RUNS - len(baseline)] + baseline


def _both(facet: str, runs: Sequence[Mapping[str, Sides]]) -> list[_Group]:
    """Both sides of every group, the first run's worst first."""
    names = dict.fromkeys(name for name, _ in worst_first(runs[0]))
    names |= dict.fromkeys(name for run in runs for name in run)
    return [
        _Group(
            browse_link(escaped(name, 60), **{facet: name}),
            [
                (run[name].over_refusal, run[name].harmful_refusal) if name in run else (None, None)
                for run in runs
            ],
        )
        for name in names
    ]


def _patterns(
    runs: Sequence[Mapping[str, Sides]], twins: Sequence[Mapping[str, Rate]]
) -> list[_Group]:
    """Over-refusal by pattern beside harmful refusal of these prompts' twins.

    Harmful prompts, which carry no pattern, are also a group of their own.
    """
    groups = []
    for name, _ in worst_first(runs[0]):
        label = browse_link(escape(PATTERNS.get(name, name)), pattern=name, side="answer")
        rates = [run[name].over_refusal if name in run else None for run in runs]
        if any(rate and rate.n for rate in rates):
            harm = [rate.get("" if name == ABSENT else name) for rate in twins]
            groups.append(_Group(label, list(zip(rates, harm, strict=True))))
    harmful = [run[ABSENT].harmful_refusal if ABSENT in run else None for run in runs]
    if groups and any(rate and rate.n for rate in harmful):
        label = browse_link("all harmful prompts", side="refuse")
        groups.append(_Group(label, [(None, rate) for rate in harmful]))
    return groups


def _table(title: str, groups: Sequence[_Group], subjects: Sequence[Subject]) -> str:
    at_once = min(12, _LINES // len(subjects))
    bodies = [_body(group, subjects) for group in groups]
    of_twins = " of their twins" if title == "Pattern" else ""
    head = (
        f'<thead><tr><th scope="col">{title}</th><th scope="col">Over-refusal</th>'
        f'<th scope="col">Harmful refusal{of_twins}</th></tr></thead>'
    )
    caption = f'<caption class="away">Rates by {title.lower()}</caption>'
    table = f'<table class="breakdown">{caption}{head}{"".join(bodies[:at_once])}</table>'
    if len(bodies) > at_once:
        table += (
            f"<details><summary>{len(bodies) - at_once} more</summary>"
            f'<table class="breakdown">{caption}{head}{"".join(bodies[at_once:])}</table></details>'
        )
    return f"<h3>By {title.lower()}</h3>{table}"


def _body(group: _Group, subjects: Sequence[Subject]) -> str:
    if len(subjects) == 1:
        return f'<tbody><tr><th scope="row">{group.label}</th>{_cells(group.rates[0])}</tr></tbody>'
    rows = "".join(
        f'<tr><th scope="row" class="run">{escaped(subject.run.name, 40)}</th>{_cells(rates)}</tr>'
        for subject, rates in zip(subjects, group.rates, strict=True)
    )
    return f'<tbody><tr><th scope="rowgroup" colspan="3">{group.label}</th></tr>{rows}</tbody>'


def _cells(rates: tuple[Rate | None, Rate | None]) -> str:
    over, harm = rates
    return f"<td>{_cell(over, 'over')}</td><td>{_cell(harm, 'harm')}</td>"


def _cell(rate: Rate | None, side: str) -> str:
    if rate is None or rate.estimate is None:
        return '<span class="soft">–</span>'
    return f'<div class="meter">{rate_bar(rate, side)}<div>{rate_cell(rate)}</div></div>'
