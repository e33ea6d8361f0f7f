"""Counts that a run is boiled down to: flat in the number of prompts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from overrefusal.records import Expected, Outcome, Pattern, Prompt

OUTCOMES = tuple(Outcome)
JUDGED = frozenset(
    {Outcome.COMPLIED, Outcome.PARTIAL, Outcome.REFUSED, Outcome.EMPTY, Outcome.GARBLED}
)
"""Outcomes in which the model itself acted and a judge read it: the denominator of a rate."""
DECLINED = frozenset({Outcome.REFUSED, Outcome.PARTIAL})
STRICTLY_DECLINED = frozenset({Outcome.REFUSED})

OutcomeCounts = tuple[int, ...]
"""How many samples of one prompt had each outcome, in the order of ``OUTCOMES``."""

_INDEX = {outcome: i for i, outcome in enumerate(OUTCOMES)}


class Facts(NamedTuple):
    """What rates are broken down by."""

    expected: Expected
    pattern: Pattern | None = None
    category: str | None = None
    language: str = "en"

    @classmethod
    def of(cls, prompt: Prompt) -> Facts:
        """The facts of ``prompt``."""
        return cls(prompt.expected, prompt.pattern, prompt.category, prompt.language)


def outcome_counts(outcomes: Iterable[Outcome]) -> OutcomeCounts:
    """How often each of ``OUTCOMES`` occurs among the samples of one prompt."""
    counts = [0] * len(OUTCOMES)
    for outcome in outcomes:
        counts[_INDEX[outcome]] += 1
    return tuple(counts)


def share(
    counts: OutcomeCounts, hit: frozenset[Outcome], of: frozenset[Outcome]
) -> tuple[int, int]:
    """``(hits, denominator)``: samples whose outcome is in ``hit``, and those in ``of``."""
    hits = total = 0
    for outcome, n in zip(OUTCOMES, counts, strict=True):
        if n:
            hits += n if outcome in hit else 0
            total += n if outcome in of else 0
    return hits, total


@dataclass(slots=True)
class Tally:
    """How many prompts of each kind had each combination of sample outcomes.

    Its size grows with the number of distinct categories and combinations, not with the run.
    """

    cells: Counter[tuple[Facts, OutcomeCounts]] = field(default_factory=Counter)
    truncated: Counter[Expected] = field(default_factory=Counter)
    """Responses cut off by a token limit."""

    def add(self, facts: Facts, outcomes: Iterable[Outcome], truncated: int = 0) -> None:
        """Count one prompt with the outcomes of all its samples; ``truncated`` of them cut off."""
        self.cells[facts, outcome_counts(outcomes)] += 1
        if truncated:
            self.truncated[facts.expected] += truncated
