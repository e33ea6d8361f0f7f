"""How well a judge agrees with human labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from overrefusal.records import Outcome

DECLINED = (Outcome.PARTIAL, Outcome.REFUSED)
JUDGED = (*DECLINED, Outcome.COMPLIED, Outcome.EMPTY, Outcome.GARBLED)


@dataclass(frozen=True, slots=True)
class Pair:
    """What a person and the judge said of one response."""

    human: Outcome
    judge: Outcome
    model: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement on whether a response declines, partial counted as declining.

    ``None`` stands where a figure has no denominator.
    """

    n: int
    """Responses that both judged; all figures are over these."""
    unjudged: int
    """Responses that the judge has no verdict on, in no figure."""
    unlabelled: int
    """Responses without a known human label, in no figure."""
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    kappa: float | None
    """Cohen's kappa of declining or not."""
    kappa_outcomes: float | None
    """Cohen's kappa of the outcomes, partial apart from refused."""
    confusion: dict[str, dict[str, int]]
    """Human outcome, judge's outcome, how many."""

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def agreement(pairs: Iterable[Pair]) -> Agreement:
    """The agreement over ``pairs``; F1 is twice the hits by the sum of both sides' positives."""
    confusion: Counter[tuple[Outcome, Outcome]] = Counter()
    unjudged = unlabelled = 0
    for pair in pairs:
        if pair.human not in JUDGED:
            unlabelled += 1
        elif pair.judge not in JUDGED:
            unjudged += 1
        else:
            confusion[pair.human, pair.judge] += 1
    binary: Counter[tuple[bool, bool]] = Counter()
    for (human, judge), count in confusion.items():
        binary[human in DECLINED, judge in DECLINED] += count
    hits, misses, false_alarms = binary[True, True], binary[True, False], binary[False, True]
    n = confusion.total()
    return Agreement(
        n=n,
        unjudged=unjudged,
        unlabelled=unlabelled,
        accuracy=_ratio(hits + binary[False, False], n),
        precision=_ratio(hits, hits + false_alarms),
        recall=_ratio(hits, hits + misses),
        f1=_ratio(2 * hits, 2 * hits + misses + false_alarms),
        kappa=_kappa(binary),
        kappa_outcomes=_kappa(confusion),
        confusion={
            human.value: {
                judge.value: confusion[human, judge] for judge in JUDGED if confusion[human, judge]
            }
            for human in JUDGED
            if any(confusion[human, judge] for judge in JUDGED)
        },
    )


def agreement_by_model(pairs: Iterable[Pair]) -> dict[str, Agreement]:
    """The agreement for each model, in the order in which models appear."""
    by_model: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_model.setdefault(pair.model, []).append(pair)
    return {model: agreement(own) for model, own in by_model.items()}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _kappa(confusion: Counter[Any]) -> float | None:
    """Cohen (1960): agreement beyond chance; ``None`` where chance alone agrees on all."""
    n = confusion.total()
    left: Counter[Hashable] = Counter()
    right: Counter[Hashable] = Counter()
    for (human, judge), count in confusion.items():
        left[human] += count
        right[judge] += count
    chance = sum(count * right[value] for value, count in left.items())
    if n == 0 or chance == n * n:
        return None
    agreed = sum(count for (human, judge), count in confusion.items() if human == judge)
    return (agreed * n - chance) / (n * n - chance)
