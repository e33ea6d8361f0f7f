"""Statistics: rates with intervals, paired comparison, judge-error correction, Pareto front."""

from overrefusal.statistics.correction import (
    CorrectedRate,
    Label,
    corrected_rate,
    judged_counts,
)
from overrefusal.statistics.gate import Check, GateResult, Thresholds, decide
from overrefusal.statistics.interval import Rate, rate_of
from overrefusal.statistics.paired import Comparison, Difference, Flip, Pair, compare
from overrefusal.statistics.pareto import Point, pareto_front
from overrefusal.statistics.rates import Rates, Sides, rates_of
from overrefusal.statistics.tally import DECLINED, JUDGED, STRICTLY_DECLINED, Facts, Tally

__all__ = [
    "DECLINED",
    "JUDGED",
    "STRICTLY_DECLINED",
    "Check",
    "Comparison",
    "CorrectedRate",
    "Difference",
    "Facts",
    "Flip",
    "GateResult",
    "Label",
    "Pair",
    "Point",
    "Rate",
    "Rates",
    "Sides",
    "Tally",
    "Thresholds",
    "compare",
    "corrected_rate",
    "decide",
    "judged_counts",
    "pareto_front",
    "rate_of",
    "rates_of",
]
