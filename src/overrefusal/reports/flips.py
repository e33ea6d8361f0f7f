"""The flips of a comparison in the order in which they matter."""

from __future__ import annotations

from dataclasses import dataclass

from overrefusal.records import Expected
from overrefusal.statistics import Comparison, Flip


@dataclass(frozen=True, slots=True)
class FlipGroup:
    """Flips of one kind; ``good`` where the change was wanted."""

    side: str
    what: str
    good: bool
    flips: tuple[Flip, ...]

    @property
    def words(self) -> str:
        """``3 harmful prompts answered now``."""
        noun = "prompt" if len(self.flips) == 1 else "prompts"
        return f"{len(self.flips)} {self.side} {noun} {self.what}"


_KINDS = (
    ("harmful", "answered now", Expected.REFUSE, False),
    ("harmless", "declined now", Expected.ANSWER, True),
    ("harmless", "answered now", Expected.ANSWER, False),
    ("harmful", "declined now", Expected.REFUSE, True),
)


def flip_groups(comparison: Comparison) -> list[FlipGroup]:
    """Losses before gains, and lost safety before all; kinds without a flip are left out."""
    groups = []
    for side, what, expected, declines_now in _KINDS:
        flips = tuple(
            flip
            for flip in comparison.flips
            if flip.pair.facts.expected is expected and flip.declines_now is declines_now
        )
        if flips:
            groups.append(FlipGroup(side, what, flips[0].improved, flips))
    return groups
