"""A rate with its interval: Wilson's, also where several samples share a prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from overrefusal.errors import OverrefusalError


@dataclass(frozen=True, slots=True)
class Rate:
    """``k`` of ``n`` responses, with an interval; ``None`` throughout where ``n`` is 0."""

    k: int
    n: int
    estimate: float | None
    low: float | None
    high: float | None
    method: str
    """``wilson``, or ``clustered_wilson`` where prompts have several samples, or ``none``."""
    n_prompts: int

    @property
    def rate(self) -> float | None:
        """The estimate, a share from 0 to 1."""
        return self.estimate

    @property
    def interval(self) -> tuple[float, float] | None:
        """``(low, high)``, or ``None`` without data."""
        return None if self.low is None or self.high is None else (self.low, self.high)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def z_value(confidence: float) -> float:
    """The two-sided normal quantile: 1.96 for 0.95.

    Raises ``OverrefusalError`` unless ``confidence`` lies between 0 and 1.
    """
    from statistics import NormalDist

    if not 0 < confidence < 1:
        raise OverrefusalError(f"confidence {confidence} must lie between 0 and 1, such as 0.95")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(estimate: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's score interval for a share ``estimate`` of ``n`` independent trials (n > 0).

    ``n`` may be an effective sample size, so it need not be whole. The bound is exactly 0 or 1
    where the estimate is. Wilson, J. Am. Stat. Assoc. 22 (1927) 209.
    """
    scale = 1 + z * z / n
    centre = (estimate + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(estimate * (1 - estimate) / n + z * z / (4 * n * n))
    low = 0.0 if estimate <= 0 else max(0.0, centre - half)
    high = 1.0 if estimate >= 1 else min(1.0, centre + half)
    return low, high


RARE = 3
"""Effective count up to which an event is rare."""


def modified_wilson(estimate: float, n: float, confidence: float) -> tuple[float, float]:
    """Wilson's interval, widened where hits, or misses, are few.

    Wilson's lower limit lies too high for counts up to ``RARE`` at some sizes, such as 50 trials
    at a rate of 0.01. Brown, Cai and DasGupta, Stat. Sci. 16 (2001) 101, section 4.1.1, put the
    Poisson mean's limit in its place.
    """
    low, high = wilson(estimate, n, z_value(confidence))
    if 0 < estimate * n <= RARE:
        low = min(low, _poisson_limit(estimate * n, confidence) / n)
    if 0 < (1 - estimate) * n <= RARE:
        high = max(high, 1 - _poisson_limit((1 - estimate) * n, confidence) / n)
    return low, high


def _poisson_limit(count: float, confidence: float) -> float:
    """One-sided lower limit of a Poisson mean, its quantile by Wilson and Hilferty (1931)."""
    from statistics import NormalDist

    spread = 1 / (9 * count)
    root = 1 - spread - NormalDist().inv_cdf(confidence) * math.sqrt(spread)
    return count * max(0.0, root) ** 3


def rate_of(prompts: Mapping[tuple[int, int], int], confidence: float = 0.95) -> Rate:
    """The share of responses that hit, with its interval.

    ``prompts`` maps ``(hits, samples)`` of a prompt to the number of prompts that have them;
    prompts without samples are passed over. With one sample a prompt the interval is Wilson's.
    Otherwise it is ``modified_wilson`` at the effective sample size ``n / design_effect``.
    """
    z = z_value(confidence)
    cells = {(hits, samples): count for (hits, samples), count in prompts.items() if samples}
    k = sum(hits * count for (hits, _), count in cells.items())
    n = sum(samples * count for (_, samples), count in cells.items())
    n_prompts = sum(cells.values())
    if not n:
        return Rate(0, 0, None, None, None, "none", 0)
    estimate = k / n
    clustered = any(samples > 1 for _, samples in cells)
    if clustered:
        low, high = modified_wilson(estimate, n / design_effect(cells), confidence)
    else:
        low, high = wilson(estimate, n, z)
    method = "clustered_wilson" if clustered else "wilson"
    return Rate(k, n, estimate, low, high, method, n_prompts)


def design_effect(prompts: Mapping[tuple[int, int], int]) -> float:
    """How much wider samples that share prompts leave a rate than as many independent ones.

    The linearised variance of the ratio (Cochran, Sampling Techniques, 1977, 6.3, with the
    correction N / (N - 1) for few clusters) over the binomial one, kept between 1 and the effect
    of samples that are all alike within a prompt. Few prompts that both hit and miss say little
    about the effect, and none say nothing, so it is averaged with that upper limit, which counts
    as one prompt against the number of prompts with hits or of those with misses, whichever is
    smaller. Without this, intervals at rates near 0 break their promise (`benchmarks/coverage.py`).
    """
    n_prompts = sum(prompts.values())
    n = sum(samples * count for (_, samples), count in prompts.items())
    estimate = sum(hits * count for (hits, _), count in prompts.items()) / n
    ceiling = sum(samples**2 * count for (_, samples), count in prompts.items()) / n
    with_hits = sum(count for (hits, _), count in prompts.items() if hits)
    with_misses = sum(count for (hits, samples), count in prompts.items() if hits < samples)
    informative = min(with_hits, with_misses)
    if n_prompts < 2 or not informative:
        return ceiling
    squares = sum(
        (hits - estimate * samples) ** 2 * count for (hits, samples), count in prompts.items()
    )
    raw = n_prompts / (n_prompts - 1) * squares / (n * estimate * (1 - estimate))
    return (informative * min(max(raw, 1.0), ceiling) + ceiling) / (informative + 1)
