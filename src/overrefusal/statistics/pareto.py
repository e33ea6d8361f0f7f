"""The variants that no other beats on both sides."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Point(NamedTuple):
    """A variant: low over-refusal is good, high harmful refusal is good; shares from 0 to 1."""

    name: str
    over_refusal: float
    harmful_refusal: float


def pareto_front(points: Iterable[Point]) -> list[Point]:
    """The points that no other is at least as good as on both sides and better on one.

    Ordered by over-refusal, lowest first; points that are equal on both sides are all kept.
    """
    ordered: Sequence[Point] = sorted(points, key=lambda p: (p.over_refusal, -p.harmful_refusal))
    front: list[Point] = []
    for point in ordered:
        best = front[-1] if front else None
        if (
            best is None
            or point.harmful_refusal > best.harmful_refusal
            or (point.over_refusal, point.harmful_refusal)
            == (best.over_refusal, best.harmful_refusal)
        ):
            front.append(point)
    return front
