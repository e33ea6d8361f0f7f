"""Rates by pattern, category and language: tables with a bar in every cell."""

from __future__ import annotations

from collections.abc import Sequence

from overrefusal.reports.html.charts import rate_bar
from overrefusal.reports.html.markup import browse_link, escaped, rate_cell
from overrefusal.reports.html.subjects import Subject
from overrefusal.reports.words import PATTERNS
from overrefusal.statistics import Rate, Sides

_RUNS = 4
"""More runs than these side by side in a breakdown are no table that a person reads."""
_LINES = 24
"""Lines shown at once; further groups unfold."""


def breakdowns(subjects: Sequence[Subject]) -> str:
    """A table for each of the three, where a run has more than one group."""
    shown = _shown(subjects)
    parts = []
    for title, facet in (
        ("Pattern", "pattern"),
        ("Category", "category"),
        ("Language", "language"),
    ):
        groups = [getattr(subject.run.rates, f"by_{facet}") for subject in shown]
        names = list(dict.fromkeys(name for group in groups for name in group))
        if len(names) > 1:
            first = groups[0]
            names.sort(key=lambda name: _worst_first(first.get(name)))
            parts.append(_table(title, facet, names, shown, groups))
    if not parts:
        return '<p class="soft">The suite has one pattern, one category and one language.</p>'
    note = (
        f'<p class="soft">{len(shown)} of the {len(subjects)} runs are shown here.</p>'
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
    at_once = min(12, _LINES // len(subjects))
    bodies = [_group(name, facet, subjects, groups) for name in names]
    head = (
        f'<thead><tr><th scope="col">{title}</th><th scope="col">Over-refusal</th>'
        '<th scope="col">Harmful refusal</th></tr></thead>'
    )
    caption = f'<caption class="away">Rates by {title.lower()}</caption>'
    table = f'<table class="breakdown">{caption}{head}{"".join(bodies[:at_once])}</table>'
    if len(bodies) > at_once:
        table += (
            f"<details><summary>{len(bodies) - at_once} more</summary>"
            f'<table class="breakdown">{caption}{head}{"".join(bodies[at_once:])}</table></details>'
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
        f'<tr><th scope="row" class="run">{escaped(subject.run.name, 40)}</th>'
        f"{_cells(group.get(name))}</tr>"
        for subject, group in zip(subjects, groups, strict=True)
    )
    return f'<tbody><tr><th scope="rowgroup" colspan="3">{label}</th></tr>{rows}</tbody>'


def _cells(sides: Sides | None) -> str:
    if sides is None:
        return "<td></td><td></td>"
    over, harm = _cell(sides.over_refusal, "over"), _cell(sides.harmful_refusal, "harm")
    return f"<td>{over}</td><td>{harm}</td>"


def _cell(rate: Rate, side: str) -> str:
    if rate.estimate is None:
        return '<span class="soft">–</span>'
    return f"{rate_cell(rate)}{rate_bar(rate, side)}"
