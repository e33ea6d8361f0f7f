"""Drawings as SVG. Colours come from the style sheet by class, so that both themes fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from overrefusal.reports.words import percent
from overrefusal.statistics import Rate


def rate_bar(rate: Rate, side: str) -> str:
    """A rate from 0 to 100 % as a bar with its interval; ``side`` is ``over`` or ``harm``.

    Hidden from screen readers: the figures stand beside it.
    """
    if rate.estimate is None or rate.low is None or rate.high is None:
        return '<svg class="bar" viewBox="0 0 100 8" aria-hidden="true"></svg>'
    low, high = rate.low * 100, rate.high * 100
    return (
        '<svg class="bar" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="track" x="0" y="2" width="100" height="4"/>'
        f'<rect class="fill {side}" x="0" y="2" width="{rate.estimate * 100:.2f}" height="4"/>'
        f'<path class="whisker" d="M{low:.2f} 4H{high:.2f}M{low:.2f} 1V7M{high:.2f} 1V7"/>'
        "</svg>"
    )


def shares_bar(parts: Sequence[tuple[str, int]]) -> str:
    """Counts as parts of one bar, each of the class that is its name. Hidden from screen readers:
    the counts stand below it."""
    total = sum(count for _, count in parts)
    rects, at = [], 0.0
    for name, count in parts:
        width = 100 * count / total if total else 0.0
        rects.append(f'<rect class="{name}" x="{at:.2f}" y="0" width="{width:.2f}" height="8"/>')
        at += width
    return (
        '<svg class="shares" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(rects)}</svg>"
    )


def histogram(answer: Sequence[int], refuse: Sequence[int], label: str) -> str:
    """Refusal probabilities of both sides, mirrored: over-refusal upwards, harmful downwards.

    Heights are on a square-root scale, as most responses lie at the ends.
    """
    top = math.sqrt(max(1, *answer, *refuse))
    width, half = 560 / len(answer), 62.0
    bars = []
    for i, (up, down) in enumerate(zip(answer, refuse, strict=True)):
        x = 20 + i * width + 1
        for n, side, sign in ((up, "over", -1), (down, "harm", 1)):
            height = max(1.5, half * math.sqrt(n) / top) if n else 0.0
            y = 80 - height if sign < 0 else 84
            bars.append(
                f'<rect class="fill {side}" x="{x:.1f}" y="{y:.1f}" width="{width - 2:.1f}" '
                f'height="{height:.1f}"><title>{i / len(answer):.2f} to '
                f"{(i + 1) / len(answer):.2f}: {n}</title></rect>"
            )
    ticks = "".join(
        f'<text class="tick" x="{20 + t * 560:.0f}" y="164">{t:g}</text>'
        for t in (0, 0.2, 0.5, 0.8, 1)
    )
    return (
        f'<svg class="histogram" viewBox="0 0 600 190" role="img" aria-label="{label}">'
        '<rect class="doubt" x="132" y="12" width="336" height="138"/>'
        f'{"".join(bars)}<path class="axis" d="M20 82H580"/>{ticks}'
        '<text class="name" x="300" y="185">refusal probability given by the judge</text></svg>'
    )


@dataclass(frozen=True, slots=True)
class Spot:
    """A run on the plane, under the number that the table beside it gives it."""

    number: int
    over: Rate
    harm: Rate
    is_baseline: bool
    is_best: bool
    """On the Pareto front of the runs that it can be compared with."""


_LEFT, _TOP, _WIDTH, _HEIGHT = 62.0, 36.0, 520.0, 380.0
_STEPS = (0.05, 0.1, 0.2)
_TICKS = 5


def plane(spots: Sequence[Spot], label: str, *, front: bool) -> str:
    """Over-refusal to the right, harmful refusal upwards: the upper left corner is the best.

    Crosses are 95 % intervals; with ``front`` a dashed line joins the best. The axes show the
    region in which the runs lie, at least 20 points of each.
    """
    shown = [s for s in spots if s.over.estimate is not None and s.harm.estimate is not None]
    across = _ticks(max([0.2, *(s.over.high or 0.0 for s in shown)]))
    down = _ticks(max([0.2, *(1 - (s.harm.low or 0.0) for s in shown)]))
    right, bottom = across[-1], 1 - down[-1]

    def x(share: float) -> float:
        return _LEFT + _WIDTH * min(share, right) / right

    def y(share: float) -> float:
        return _TOP + _HEIGHT * (1 - max(share, bottom)) / (1 - bottom)

    parts = [_grid(across, down)]
    best = sorted((s.over.estimate or 0, s.harm.estimate or 0) for s in shown if s.is_best)
    if front and len(best) > 1:
        line = "L".join(f"{x(over):.1f} {y(harm):.1f}" for over, harm in best)
        parts.append(f'<path class="front" d="M{line}"/>')
    parts += [
        f'<path class="cross" d="M{x(spot.over.low or 0):.1f} {y(spot.harm.estimate or 0):.1f}'
        f"H{x(spot.over.high or 0):.1f}M{x(spot.over.estimate or 0):.1f} "
        f'{y(spot.harm.low or 0):.1f}V{y(spot.harm.high or 0):.1f}"/>'
        for spot in shown
    ]
    for spot in reversed(shown):
        cx, cy = x(spot.over.estimate or 0), y(spot.harm.estimate or 0)
        kind = "best" if spot.is_best or len(shown) == 1 else "rest"
        parts.append(
            f'<g class="spot {kind}{" base" if spot.is_baseline else ""}">'
            f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="11"/>'
            f'<text x="{cx:.1f}" y="{cy + 4:.1f}">{spot.number}</text>'
            f"<title>{spot.number}: over-refusal {percent(spot.over.estimate)}, "
            f"harmful refusal {percent(spot.harm.estimate)}</title></g>"
        )
    return (
        f'<svg class="plane" viewBox="0 0 610 484" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _ticks(span: float) -> list[float]:
    """Round numbers from 0 to ``span`` or just beyond it."""
    step = next((step for step in _STEPS if span <= _TICKS * step + 1e-9), _STEPS[-1])
    return [step * i for i in range(math.ceil(span / step - 1e-9) + 1)]


def _grid(across: Sequence[float], down: Sequence[float]) -> str:
    """Axes from the lower left, ticks in per cent, names, and which corner is good."""
    parts = []
    for tick in across:
        at = _LEFT + _WIDTH * tick / across[-1]
        parts.append(
            f'<path class="grid" d="M{at:.1f} {_TOP}V{_TOP + _HEIGHT}"/>'
            f'<text class="tick" x="{at:.1f}" y="{_TOP + _HEIGHT + 20}">{tick * 100:.0f}</text>'
        )
    for tick in down:
        at = _TOP + _HEIGHT * tick / down[-1]
        parts.append(
            f'<path class="grid" d="M{_LEFT} {at:.1f}H{_LEFT + _WIDTH}"/>'
            f'<text class="tick end" x="{_LEFT - 9}" y="{at + 4:.1f}">{(1 - tick) * 100:.0f}</text>'
        )
    middle = _TOP + _HEIGHT / 2
    parts.append(
        f'<text class="name" x="{_LEFT + _WIDTH / 2}" y="{_TOP + _HEIGHT + 46}">'
        "over-refusal, % of responses</text>"
        f'<text class="name" transform="translate(16 {middle}) rotate(-90)">'
        "harmful refusal, % of responses</text>"
        f'<text class="corner" x="{_LEFT}" y="15">↖ better</text>'
    )
    return "".join(parts)
