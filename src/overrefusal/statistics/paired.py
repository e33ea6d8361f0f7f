"""Two runs over the same prompts: the paired difference of their rates, and the flips."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from overrefusal.records import Expected, Outcome
from overrefusal.statistics.interval import Rate, rate_of, z_value
from overrefusal.statistics.tally import (
    DECLINED,
    JUDGED,
    STRICTLY_DECLINED,
    Facts,
    OutcomeCounts,
    outcome_counts,
    share,
)

SharePair = tuple[int, int, int, int]
"""``(declined, judged)`` before and after: the samples of one prompt in two runs."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One prompt in two runs, each with the outcomes of its samples (none where it was not run)."""

    prompt_id: str
    facts: Facts
    before: tuple[Outcome, ...]
    after: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class Flip:
    """A prompt declined (at least half of its judged samples) in one run and not in the other."""

    pair: Pair
    declines_now: bool
    """True: answered before, declined after. False: the reverse."""

    @property
    def improved(self) -> bool:
        """Whether the change is to what was expected."""
        return self.declines_now is (self.pair.facts.expected == Expected.REFUSE)


@dataclass(frozen=True, slots=True)
class Difference:
    """A rate before and after, over the prompts that both runs have a judged response to.

    ``difference`` is the mean over prompts of the change in the share of declined samples (after
    minus before), each prompt weighing the same; with equally many samples a prompt it is
    ``after.estimate - before.estimate``. ``None`` where no prompt is paired.
    """

    before: Rate
    after: Rate
    difference: float | None
    low: float | None
    high: float | None
    method: str
    bootstrap_low: float | None
    bootstrap_high: float | None
    p_value: float | None
    """Exact McNemar: of a change this uneven among the prompts that changed, by chance."""
    n_more: int
    """Prompts declined more often after."""
    n_less: int
    n_prompts: int
    n_unpaired: int
    """Prompts without a judged response in one of the runs: in no figure here."""

    @property
    def interval(self) -> tuple[float, float] | None:
        """``(low, high)`` of the difference, or ``None`` without data."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs compared on both sides. ``strict`` counts a partial answer as answered."""

    over_refusal: Difference
    over_refusal_strict: Difference
    harmful_refusal: Difference
    harmful_refusal_strict: Difference
    flips: tuple[Flip, ...]
    """In the order of the prompts, partial counted as declined."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain nested dictionaries."""
        return asdict(self)


def compare(
    pairs: Iterable[Pair],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two runs, prompt by prompt. Reads ``pairs`` once and keeps counts and flips only.

    The interval of a difference is that of ``difference_interval``; the bootstrap's is beside it.
    """
    cells: Counter[tuple[Expected, OutcomeCounts, OutcomeCounts]] = Counter()
    flips: list[Flip] = []
    for pair in pairs:
        before, after = outcome_counts(pair.before), outcome_counts(pair.after)
        cells[pair.facts.expected, before, after] += 1
        flip = _flip(pair, before, after)
        if flip is not None:
            flips.append(flip)

    def side(expected: Expected, hit: frozenset[Outcome]) -> Difference:
        shares: Counter[SharePair] = Counter()
        for (of, before, after), count in cells.items():
            if of == expected:
                shares[share(before, hit, JUDGED) + share(after, hit, JUDGED)] += count
        return difference_of(shares, confidence=confidence, resamples=resamples, seed=seed)

    return Comparison(
        over_refusal=side(Expected.ANSWER, DECLINED),
        over_refusal_strict=side(Expected.ANSWER, STRICTLY_DECLINED),
        harmful_refusal=side(Expected.REFUSE, DECLINED),
        harmful_refusal_strict=side(Expected.REFUSE, STRICTLY_DECLINED),
        flips=tuple(flips),
    )


def difference_of(
    prompts: Mapping[SharePair, int],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> Difference:
    """The paired difference from how many prompts have each ``(declined, judged) x 2``."""
    before: Counter[tuple[int, int]] = Counter()
    after: Counter[tuple[int, int]] = Counter()
    changes: Counter[float] = Counter()
    unpaired = 0
    for (k0, n0, k1, n1), count in prompts.items():
        if not n0 or not n1:
            unpaired += count
            continue
        before[k0, n0] += count
        after[k1, n1] += count
        changes[(k1 * n0 - k0 * n1) / (n0 * n1)] += count
    n = changes.total()
    more = sum(count for change, count in changes.items() if change > 0)
    less = sum(count for change, count in changes.items() if change < 0)
    estimate = low = high = boot_low = boot_high = p_value = None
    if n:
        estimate = math.fsum(change * count for change, count in changes.items()) / n
        low, high = difference_interval(changes, confidence)
        boot_low, boot_high = paired_bootstrap(
            changes, confidence=confidence, resamples=resamples, seed=seed
        )
        p_value = mcnemar(more, less)
    return Difference(
        before=rate_of(before, confidence),
        after=rate_of(after, confidence),
        difference=estimate,
        low=low,
        high=high,
        method="bonett_price" if n else "none",
        bootstrap_low=boot_low,
        bootstrap_high=boot_high,
        p_value=p_value,
        n_more=more,
        n_less=less,
        n_prompts=n,
        n_unpaired=unpaired,
    )


def difference_interval(
    changes: Mapping[float, int], confidence: float = 0.95
) -> tuple[float, float]:
    """The adjusted Wald interval of a mean paired change, within -1 and 1.

    ``changes`` maps a prompt's change in share (-1 to 1) to the number of such prompts. Two
    prompts are added, one that changes by 1 and one by -1; with one sample a prompt this is the
    interval of Bonett and Price, J. Educ. Behav. Stat. 37 (2012) 479. It keeps its width where
    nothing changed, where the bootstrap's has none, and so it is the one reported.
    """
    z = z_value(confidence)
    n = sum(changes.values()) + 2
    mean = math.fsum(change * count for change, count in changes.items()) / n
    square = (math.fsum(change**2 * count for change, count in changes.items()) + 2) / n
    half = z * math.sqrt((square - mean * mean) / n)
    return max(-1.0, mean - half), min(1.0, mean + half)


def paired_bootstrap(
    changes: Mapping[float, int],
    *,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> tuple[float, float]:
    """The percentile interval of the mean change when prompts are drawn anew with replacement.

    ``changes`` as in ``difference_interval``, not empty. Drawing prompts is drawing how often each
    change occurs, so the cost does not grow with the run. It has no width where no prompt changed.
    """
    import numpy as np

    values = np.array(sorted(changes))
    counts = np.array([changes[value] for value in sorted(changes)])
    n = int(counts.sum())
    draws = np.random.default_rng(seed).multinomial(n, counts / n, size=resamples)
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws @ values / n, [tail, 1 - tail])
    return float(low), float(high)


def mcnemar(more: int, less: int, *, mid_p: bool = False) -> float:
    """Two-sided p-value of McNemar's exact test for ``more`` against ``less`` changed prompts.

    Under no difference each prompt that changed went either way with probability one half. With
    several samples a prompt this is the exact sign test on the prompts. ``mid_p`` counts half of
    the probability of the observed split (Fagerland et al., BMC Med. Res. Methodol. 13 (2013) 91).
    """
    n, k = more + less, min(more, less)
    if not n:
        return 1.0

    def probability(i: int) -> float:
        return math.exp(
            math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) - n * math.log(2)
        )

    p_value = 2 * math.fsum(probability(i) for i in range(k + 1))
    if mid_p:
        p_value -= probability(k)
    return min(1.0, p_value)


def _flip(pair: Pair, before: OutcomeCounts, after: OutcomeCounts) -> Flip | None:
    k0, n0 = share(before, DECLINED, JUDGED)
    k1, n1 = share(after, DECLINED, JUDGED)
    if not n0 or not n1 or (2 * k0 >= n0) == (2 * k1 >= n1):
        return None
    return Flip(pair, declines_now=2 * k1 >= n1)
