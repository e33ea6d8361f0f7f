"""Rates by pattern, category and language: tables with a bar in every cell."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from overrefusal.reports.html.charts import rate_bar
from overrefusal.reports.html.markup import browse_link, escaped
from overrefusal.reports.html.subjects import Subject
from overrefusal.reports.words import PATTERNS, interval, percent
from overrefusal.statistics import Rate, Sides

_RUNS = 4
"""More runs than these side by side in a breakdown are no table that a person reads."""
_SHOWN = 12
"""Groups shown at once; the others unfold."""


def breakdowns(subjects: Sequence[Subject]) -> str:
    """A table for each of the three, where a run has more than one group."""
    shown = _shown(subjects)
    parts = []
    for title, facet in (("Pattern", "pattern"), ("Category", "category"), ("Language", "language")):
        groups = [getattr(subject.run.rates, f"by_{facet}") for subject in shown]
        names = list(dict.fromkeys(name for group in groups for name in group))
        if len(names) > 1:
            first = groups[0]
            names.sort(key=lambda name: _worst_first(first.get(name)))
            parts.append(_table(title, facet, names, shown, groups))
    if not parts:
        return '<p class="soft">The suite has one pattern, one category and one language.</p>'
    note = (
        f'<p class="soft">The first {len(shown)} of {len(subjects)} runs.</p>'
        if len(shown) < len(subjects)
        else ""
    )
    return note + "".join(parts)


def _shown(subjects: Sequence[Subject]) -> list[Subject]:
    """As many runs as fit, the baseline among them."""
    if len(subjects) <= _RUNS:
        return list(subjects)
    baseline = [subject for subject in subjects if subject.is_baseline]
    others = [subject for subject in subjects if not subject.is_baseline]
    return others[: _RUNS - len(baseline)] + baseline


def _worst_first(sides: Sides | None) -> tuple[bool, float, float]:
    over = sides.over_refusal.estimate if sides else None
    harm = sides.harmful_refusal.estimate if sides else None
    return over is None, -(over or 0.0), harm or 0.0


def _table(
    title: str,
    facet: str,
    names: Sequence[str],
    subjects: Sequence[Subject],
    groups: Sequence[dict[str, Sides]],
) -> str:
    bodies = [_group(name, facet, subjects, groups) for name in names]
    head = (
        f'<thead><tr><th scope="col">{title}</th><th scope="col">Over-refusal</th>'
        '<th scope="col">Harmful refusal</th></tr></thead>'
    )
    caption = f'<caption class="away">Rates by {title.lower()}</caption>'
    table = f'<table class="breakdown">{caption}{head}{"".join(bodies[:_SHOWN])}</table>'
    if len(bodies) > _SHOWN:
        table += (
            f"<details><summary>{len(bodies) - _SHOWN} more</summary>"
            f'<table class="breakdown">{caption}{head}{"".join(bodies[_SHOWN:])}</table></details>'
        )
    return f"<h3>By {title.lower()}</h3>{table}"


def _group(
    name: str, facet: str, subjects: Sequence[Subject], groups: Sequence[dict[str, Sides]]
) -> str:
    shown = PATTERNS.get(name, name) if facet == "pattern" else name
    label = browse_link(escaped(shown, 60), **{facet: name})
    if len(subjects) == 1:
        return f'<tbody><tr><th scope="row">{label}</th>{_cells(groups[0].get(name))}</tr></tbody>'
    rows = "".join(
        f'<tr><th scope="row" class="run">{_run(number, subject)}</th>{_cells(group.get(name))}</tr>'
        for number, (subject, group) in enumerate(zip(subjects, groups, strict=True), 1)
    )
    return f'<tbody><tr><th scope="rowgroup" colspan="3">{label}</th></tr>{rows}</tbody>'


def _run(number: int, subject: Subject) -> str:
    return (
        f'<span class="away">{escape(subject.run.id)}</span>{escaped(subject.run.name, 40)}'
    )


def _cells(sides: Sides | None) -> str:
    if sides is None:
        return "<td></td><td></td>"
    return (
        f"<td>{_cell(sides.over_refusal, 'over')}</td><td>{_cell(sides.harmful_refusal, 'harm')}</td>"
    )


def _cell(rate: Rate, side: str) -> str:
    if rate.estimate is None:
        return '<span class="soft">no such prompts</span>'
    return (
        f'<span class="figure-cell">{percent(rate.estimate)}</span> '
        f'<span class="soft">{interval(rate.low, rate.high)} n = {rate.n}</span>'
        f"{rate_bar(rate, side)}"
    )
