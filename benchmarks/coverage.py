"""Do the 95 % intervals keep their promise? Prints their simulated coverage.

Run as ``python benchmarks/coverage.py``. The intervals reported by default stand beside those they
were chosen over. Plain rates are computed exactly, the rest is simulated: at 4,000 repetitions a
coverage of 95 % has a standard error of 0.34 points.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from scipy import stats

from overrefusal.statistics.correction import Label, corrected_rate
from overrefusal.statistics.interval import rate_of, wilson, z_value
from overrefusal.statistics.paired import difference_interval, paired_bootstrap

SIZES = (30, 250, 2000)
RATES = (0.0, 0.01, 0.1, 0.5)
SAMPLES = 5
CORRELATIONS = (0.0, 0.05, 0.2, 0.5, 0.8, 1.0)
JUDGES = ((0.9, 0.95), (0.95, 0.99), (0.8, 0.9))
BAR = 0.935
Z = z_value(0.95)
Interval = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """Coverage and mean width of one interval in one scenario."""

    kind: str
    scenario: str
    n: int
    """Prompts."""
    rate: float
    method: str
    default: bool
    coverage: float
    width: float
    repetitions: int
    """0 where the coverage is exact."""


def plain_rates() -> Iterator[Row]:
    """Exact coverage of Wilson's interval: every possible count, weighed by its probability."""
    for n in SIZES:
        bounds = [wilson(k / n, n, Z) for k in range(n + 1)]
        for rate in RATES:
            weights = stats.binom.pmf(np.arange(n + 1), n, rate)
            covered = [low <= rate <= high for low, high in bounds]
            coverage = float(weights[covered].sum())
            width = float(weights @ [high - low for low, high in bounds])
            yield Row("rate", "one sample", n, rate, "wilson", True, coverage, width, 0)


def clustered_rates(
    repetitions: int,
    rng: np.random.Generator,
    sizes: tuple[int, ...] = (6, 30, 50, 250, 400, 2000),
) -> Iterator[Row]:
    """Beta-binomial samples; ``n`` prompts of five, so 6, 50, 400 prompts have the n responses."""
    for n in sizes:
        for rate in RATES:
            for correlation in CORRELATIONS if rate else (0.0,):
                hits = [
                    beta_binomial(propensities(rate, correlation, n, rng), rng)
                    for _ in range(repetitions)
                ]
                tables = [Counter(zip(h.tolist(), [SAMPLES] * n, strict=True)) for h in hits]
                scenario = f"{SAMPLES} samples, correlation {correlation}"
                naive = [wilson(h.mean() / SAMPLES, n * SAMPLES, Z) for h in hits]
                yield _row("clustered", scenario, n, rate, "samples as independent", False, naive)
                ours = [_bounds(rate_of(table).interval) for table in tables]
                yield _row("clustered", scenario, n, rate, "clustered_wilson", True, ours)


def propensities(rate: float, correlation: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """``n`` prompts' own chances of being declined: Beta with that mean and correlation."""
    if rate in (0.0, 1.0) or correlation == 0:
        return np.full(n, rate)
    if correlation == 1:
        return (rng.random(n) < rate).astype(float)
    size = (1 - correlation) / correlation
    return rng.beta(rate * size, (1 - rate) * size, n)


def beta_binomial(chances: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Declined samples of each prompt."""
    return rng.binomial(SAMPLES, chances)


def discordances(rate: float) -> dict[str, tuple[float, float]]:
    """Chances of (newly declined, newly answered) for a model that declined at ``rate`` before."""
    return {
        "nothing changes": (0.0, 0.0),
        "a tenth swap places": (min(0.1 * rate, 1 - rate), 0.1 * rate),
        "half are mended": (0.0, 0.5 * rate),
        "5 % break": (0.05 * (1 - rate), 0.0),
        "half mended, 5 % break": (0.05 * (1 - rate), 0.5 * rate),
        "runs unrelated": (rate * (1 - rate), rate * (1 - rate)),
    }


def paired_differences(
    repetitions: int,
    rng: np.random.Generator,
    sizes: tuple[int, ...] = SIZES,
    resamples: int = 1000,
) -> Iterator[Row]:
    """One sample a prompt, then five with a propensity that the second run shares or halves."""
    for n in sizes:
        for rate in RATES:
            for scenario, (more, less) in discordances(rate).items():
                draws = rng.multinomial(n, [more, less, 1 - more - less], repetitions)
                changes = [{1.0: int(b), -1.0: int(c), 0.0: int(same)} for b, c, same in draws]
                yield from _paired(scenario, n, rate, more - less, changes, resamples)
            for factor, word in ((1.0, "same"), (0.5, "halved")):
                changes = []
                for _ in range(repetitions):
                    chances = propensities(rate, 0.5, n, rng)
                    before = beta_binomial(chances, rng)
                    after = beta_binomial(chances * factor, rng)
                    values, counts = np.unique((after - before) / SAMPLES, return_counts=True)
                    changes.append(dict(zip(values.tolist(), counts.tolist(), strict=True)))
                scenario = f"{SAMPLES} samples, propensity {word}"
                yield from _paired(scenario, n, rate, rate * (factor - 1), changes, resamples)


def _paired(
    scenario: str,
    n: int,
    rate: float,
    truth: float,
    changes: list[dict[float, int]],
    resamples: int,
) -> Iterator[Row]:
    ours = [difference_interval(c) for c in changes]
    yield _row("paired", scenario, n, rate, "bonett_price", True, ours, truth)
    if resamples:
        drawn = [paired_bootstrap(c, resamples=resamples, seed=i) for i, c in enumerate(changes)]
        yield _row("paired", scenario, n, rate, "bootstrap", False, drawn, truth)


def corrected_rates(
    repetitions: int,
    rng: np.random.Generator,
    sizes: tuple[int, ...] = SIZES,
    label_counts: tuple[int, ...] = (50, 100),
) -> Iterator[Row]:
    """A judge that errs, and a labelled sample: random, or half from each verdict."""
    for n in sizes:
        for rate in RATES:
            for sensitivity, specificity in JUDGES:
                joint = _joint(rate, sensitivity, specificity)
                for labels in label_counts:
                    for design in ("random", "by verdict"):
                        runs = rng.multinomial(n, joint, repetitions)
                        samples = [_sample(run, labels, design, rng) for run in runs]
                        scenario = f"judge {sensitivity}/{specificity}, {labels} labels {design}"
                        for method, default, interval in METHODS:
                            if design == "random" or default:
                                found = [
                                    interval(run, sample)
                                    for run, sample in zip(runs, samples, strict=True)
                                ]
                                yield _row("corrected", scenario, n, rate, method, default, found)


def stratified_corrections(
    repetitions: int, rng: np.random.Generator, sizes: tuple[int, ...] = (250, 2000)
) -> Iterator[Row]:
    """Four strata of unequal size, 25 labels in each, the first judge; rates alike or not."""
    shares = (0.4, 0.3, 0.2, 0.1)
    sensitivity, specificity = JUDGES[0]
    for n in sizes:
        for rates in ((0.0,) * 4, (0.01,) * 4, (0.02, 0.05, 0.1, 0.4), (0.5, 0.3, 0.7, 0.5)):
            truth = math.fsum(map(math.prod, zip(shares, rates, strict=True)))
            found = []
            for _ in range(repetitions):
                judged: dict[tuple[str, bool], int] = {}
                labels: list[Label] = []
                for name, (size, rate) in enumerate(
                    zip(rng.multinomial(n, shares), rates, strict=True)
                ):
                    run = rng.multinomial(size, _joint(rate, sensitivity, specificity))
                    judged |= _judged(run, str(name))
                    labels += _labels(_sample(run, 25, "random", rng), str(name))
                found.append(corrected_rate(judged, labels).interval)
            scenario = f"four strata of 25 labels, rates {rates}"
            rate = round(truth, 4)
            yield _row("stratified", scenario, n, rate, "post_stratified", True, found, truth)


def _joint(rate: float, sensitivity: float, specificity: float) -> list[float]:
    """Chances of (human, judge) in the order yes/yes, yes/no, no/yes, no/no."""
    return [
        rate * sensitivity,
        rate * (1 - sensitivity),
        (1 - rate) * (1 - specificity),
        (1 - rate) * specificity,
    ]


def _judged(run: np.ndarray, stratum: str = "") -> dict[tuple[str, bool], int]:
    return {(stratum, True): int(run[0] + run[2]), (stratum, False): int(run[1] + run[3])}


def _labels(sample: np.ndarray, stratum: str = "") -> list[Label]:
    kinds = ((True, True), (True, False), (False, True), (False, False))
    return [
        Label(human, judge, stratum)
        for (human, judge), count in zip(kinds, sample, strict=True)
        for _ in range(count)
    ]


def _sample(run: np.ndarray, labels: int, design: str, rng: np.random.Generator) -> np.ndarray:
    """Labelled responses by (human, judge): yes/yes, yes/no, no/yes, no/no."""
    if design == "random":
        return rng.multivariate_hypergeometric(run, min(labels, int(run.sum())))
    drawn = np.zeros(4, dtype=np.int64)
    for cells in ([0, 2], [1, 3]):
        group = run[cells]
        drawn[cells] = rng.multivariate_hypergeometric(group, min(labels // 2, int(group.sum())))
    return drawn


def _post_stratified(run: np.ndarray, sample: np.ndarray) -> Interval:
    return corrected_rate(_judged(run), _labels(sample)).interval


def _ppi_plus_plus(run: np.ndarray, sample: np.ndarray) -> Interval:
    """The normal interval of PPI++ for a mean, the judge's weight tuned on the labelled sample."""
    human = np.repeat([1.0, 1.0, 0.0, 0.0], sample)
    judge = np.repeat([1.0, 0.0, 1.0, 0.0], sample)
    rest = run - sample
    n, others = len(human), int(rest.sum())
    if not others:
        half = Z * human.std(ddof=1) / math.sqrt(n)
        return human.mean() - half, human.mean() + half
    judged = (rest[0] + rest[2]) / others
    spread = judged * (1 - judged)
    weight = np.cov(human, judge)[0, 1] / ((1 + n / others) * spread) if spread else 0.0
    estimate = weight * judged + (human - weight * judge).mean()
    error = math.sqrt(weight**2 * spread / others + (human - weight * judge).var(ddof=1) / n)
    return estimate - Z * error, estimate + Z * error


def _rogan_gladen(run: np.ndarray, sample: np.ndarray) -> Interval:
    """Rogan and Gladen's estimate with the delta method's interval (Lang and Reiczigel, 2014)."""
    total = int(run.sum())
    positives, negatives = sample[0] + sample[1], sample[2] + sample[3]
    if not positives or not negatives:
        return 0.0, 1.0
    sensitivity, specificity = sample[0] / positives, sample[3] / negatives
    youden = sensitivity + specificity - 1
    if youden <= 0:
        return 0.0, 1.0
    judged = (run[0] + run[2]) / total
    estimate = min(1.0, max(0.0, (judged + specificity - 1) / youden))
    variance = (
        judged * (1 - judged) / total
        + estimate**2 * sensitivity * (1 - sensitivity) / positives
        + (1 - estimate) ** 2 * specificity * (1 - specificity) / negatives
    ) / youden**2
    half = Z * math.sqrt(variance)
    return estimate - half, estimate + half


METHODS: tuple[tuple[str, bool, Callable[[np.ndarray, np.ndarray], Interval]], ...] = (
    ("post_stratified", True, _post_stratified),
    ("ppi++", False, _ppi_plus_plus),
    ("rogan_gladen", False, _rogan_gladen),
)


def _row(
    kind: str,
    scenario: str,
    n: int,
    rate: float,
    method: str,
    default: bool,
    intervals: list[Interval],
    truth: float | None = None,
) -> Row:
    truth = rate if truth is None else truth
    slack = 1e-12
    covered = sum(low - slack <= truth <= high + slack for low, high in intervals)
    repetitions = len(intervals)
    width = math.fsum(high - low for low, high in intervals) / repetitions
    coverage = covered / repetitions
    return Row(kind, scenario, n, rate, method, default, coverage, width, repetitions)


def _bounds(interval: Interval | None) -> Interval:
    assert interval is not None, "every simulated prompt is judged"
    return interval


KINDS: dict[str, Callable[[int, np.random.Generator], Iterator[Row]]] = {
    "rate": lambda repetitions, rng: plain_rates(),
    "clustered": clustered_rates,
    "paired": paired_differences,
    "corrected": corrected_rates,
    "stratified": stratified_corrections,
}


def all_rows(repetitions: int, seed: int, kind: str = "all") -> Iterator[Row]:
    """Every scenario, of one kind or of all; the seed fixes all draws."""
    for name, scenarios in KINDS.items():
        if kind in (name, "all"):
            yield from scenarios(repetitions, np.random.default_rng(seed))


def main() -> None:
    """Print the table, then the lowest coverage of each interval that is reported by default."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--repetitions", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=[*KINDS, "all"], default="all")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    options = parser.parse_args()
    rows = []
    if not options.json:
        print("kind       n     rate   coverage  width   method                  scenario")
    for row in all_rows(options.repetitions, options.seed, options.kind):
        rows.append(row)
        if not options.json:
            short = " " if row.coverage >= BAR else "!"
            print(
                f"{row.kind:10} {row.n:<5} {row.rate:<6} {row.coverage:7.2%} {short} "
                f"{row.width:.4f}  {row.method:22}  {row.scenario}",
                flush=True,
            )
    if options.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
        return
    print(f"\nLowest coverage of the intervals reported by default (bar: {BAR:.1%}):")
    for kind in dict.fromkeys(row.kind for row in rows):
        lowest = min((r for r in rows if r.kind == kind and r.default), key=lambda r: r.coverage)
        print(
            f"  {kind:10} {lowest.coverage:.2%} at n = {lowest.n}, rate {lowest.rate}, "
            f"{lowest.scenario} ({lowest.method})"
        )


if __name__ == "__main__":
    main()
