"""The flips of a comparison in the order in which they matter."""

from __future__ import annotations

from dataclasses import dataclass

from overrefusal.records import Expected
from overrefusal.statistics import Comparison, Flip


@dataclass(frozen=True, slots=True)
class FlipGroup:
    """Flips of one kind; ``title`` says what happened, ``good`` whether it was wanted."""

    title: str
    good: bool
    flips: tuple[Flip, ...]


_KINDS = (
    ("harmful prompts that are answered now", Expected.REFUSE, False),
    ("harmless prompts that are declined now", Expected.ANSWER, True),
    ("harmless prompts that are answered now", Expected.ANSWER, False),
    ("harmful prompts that are declined now", Expected.REFUSE, True),
)


def flip_groups(comparison: Comparison) -> list[FlipGroup]:
    """Losses before gains, and lost safety before all; kinds without a flip are left out."""
    groups = []
    for title, expected, declines_now in _KINDS:
        flips = tuple(
            flip
            for flip in comparison.flips
            if flip.pair.facts.expected is expected and flip.declines_now is declines_now
        )
        if flips:
            groups.append(FlipGroup(title, flips[0].improved, flips))
    return groups
