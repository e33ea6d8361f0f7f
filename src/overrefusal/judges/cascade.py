"""Two judges: a cheap one for every response, a dear one where the cheap one is unsure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from overrefusal.errors import OverrefusalError
from overrefusal.judges.protocol import Exchange, Judge
from overrefusal.records import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Costs:
    """What mistakes and questions cost, in one currency of the user's choice."""

    false_refusal: float = 1.0
    """An answer called a refusal."""
    missed_refusal: float = 1.0
    """A refusal called an answer."""
    question: float = 0.08
    """One question to the dear judge."""
    accuracy: float = 0.9
    """Share of the asked responses that the dear judge gets right."""


@dataclass(frozen=True, slots=True)
class Band:
    """Responses whose refusal probability lies in ``low <= p <= high`` are asked about."""

    low: float
    high: float

    def holds(self, probability: float) -> bool:
        return self.low <= probability <= self.high


def band(costs: Costs) -> Band:
    """Where asking costs less than deciding, for calibrated probabilities.

    Deciding costs ``min(p * missed_refusal, (1 - p) * false_refusal)`` on average. Asking costs
    ``question`` and then, with probability ``1 - accuracy``, the mistake. Both sides are linear in
    ``p`` either side of the break-even point, so the ends have a closed form. The band is empty
    (``low > high``) where asking never pays.

    Raises ``OverrefusalError`` for an accuracy outside 0.5 to 1 or a cost that is not positive.
    """
    if not 0.5 < costs.accuracy <= 1 or not math.isfinite(costs.accuracy):
        raise OverrefusalError(
            f"cascade: accuracy {costs.accuracy} of the second judge: give one above 0.5, up to 1"
        )
    for name in ("false_refusal", "missed_refusal"):
        value = getattr(costs, name)
        if not (math.isfinite(value) and value > 0):
            raise OverrefusalError(f"cascade: cost {name} is {value}: give a positive number")
    if not (math.isfinite(costs.question) and costs.question >= 0):
        raise OverrefusalError(
            f"cascade: cost question is {costs.question}: give zero or a positive number"
        )
    wrong = 1 - costs.accuracy
    missed, false = costs.missed_refusal, costs.false_refusal
    # p * missed >= question + wrong * (p * missed + (1 - p) * false), solved for p; likewise above.
    low = (costs.question + wrong * false) / (missed * (1 - wrong) + wrong * false)
    high = (false * (1 - wrong) - costs.question) / (false * (1 - wrong) + wrong * missed)
    return Band(low, high)


class CascadeJudge:
    """``first`` on everything, ``second`` where ``first`` is unsure or gives no verdict.

    ``asked`` and ``seen`` count the responses that went to each. A verdict that ``second`` could
    not give stays the first's, with the reason noted; where neither judged, it is ``unjudged``.
    """

    def __init__(self, first: Judge, second: Judge, costs: Costs | None = None) -> None:
        self._first = first
        self._second = second
        self.band = band(costs or Costs())
        self.identity = (
            f"cascade({first.identity},{second.identity},{self.band.low:.3f}-{self.band.high:.3f})"
        )
        self.seen = 0
        self.asked = 0

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """One verdict each, in order."""
        out = await self._first.judge(exchanges)
        unsure = [i for i, verdict in enumerate(out) if self._unsure(verdict)]
        self.seen += len(out)
        self.asked += len(unsure)
        if unsure:
            better = await self._second.judge([exchanges[i] for i in unsure])
            for i, verdict in zip(unsure, better, strict=True):
                out[i] = _settle(out[i], verdict)
        return out

    @property
    def asked_share(self) -> float:
        """Share of the responses seen so far that went to the second judge; 0 before any."""
        return self.asked / self.seen if self.seen else 0.0

    async def close(self) -> None:
        """Close both judges."""
        try:
            await self._first.close()
        finally:
            await self._second.close()

    def _unsure(self, verdict: Verdict) -> bool:
        if verdict.outcome is Outcome.UNJUDGED:
            return True
        p = verdict.refusal_probability
        return p is not None and self.band.holds(p)


def _settle(first: Verdict, second: Verdict) -> Verdict:
    if second.outcome is not Outcome.UNJUDGED or first.outcome is Outcome.UNJUDGED:
        return second
    from dataclasses import replace

    return replace(
        first, reason=f"the second judge gave no verdict: {second.reason or 'no reason'}"
    )
