"""The 95 % intervals keep their promise: coverage of at least 93.5 %."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import pytest
from benchmarks.coverage import (
    BAR,
    Row,
    clustered_rates,
    corrected_rates,
    paired_differences,
    plain_rates,
    stratified_corrections,
)


def short_of_the_bar(rows: Iterable[Row]) -> list[str]:
    """Default intervals below the bar by more than three standard errors of the simulation."""
    short = []
    for row in rows:
        error = math.sqrt(BAR * (1 - BAR) / row.repetitions) if row.repetitions else 0.0
        if row.default and row.coverage < BAR - 3 * error:
            short.append(f"{row.kind}, {row.scenario}, n {row.n}, {row.rate}: {row.coverage:.2%}")
    return short


def test_plain_rates_exactly() -> None:
    rows = list(plain_rates())
    assert len(rows) == 12
    assert short_of_the_bar(rows) == []


def test_clustered_rates_and_the_check_itself() -> None:
    rows = list(clustered_rates(600, np.random.default_rng(1), sizes=(30, 250)))
    assert short_of_the_bar(rows) == []
    naive = [row for row in rows if row.method == "samples as independent"]
    assert min(row.coverage for row in naive) < 0.7, "correlated samples must matter here"


def test_paired_differences() -> None:
    rng = np.random.default_rng(2)
    assert short_of_the_bar(paired_differences(600, rng, sizes=(30, 250), resamples=0)) == []


def test_the_bootstrap_is_not_the_default_for_a_reason() -> None:
    rng = np.random.default_rng(3)
    rows = list(paired_differences(200, rng, sizes=(30,), resamples=200))
    bootstrap = [row for row in rows if row.method == "bootstrap" and row.scenario == "5 % break"]
    assert min(row.coverage for row in bootstrap) < 0.85


def test_corrected_rates() -> None:
    rng = np.random.default_rng(4)
    rows = corrected_rates(500, rng, sizes=(30, 250, 2000), label_counts=(100,))
    assert short_of_the_bar(rows) == []


def test_stratified_corrections() -> None:
    """With few labels a stratum, a verdict often goes unlabelled in some of them."""
    assert short_of_the_bar(stratified_corrections(400, np.random.default_rng(6), (2000,))) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "scenarios",
    [clustered_rates, partial(paired_differences, resamples=0), corrected_rates],
    ids=["clustered", "paired", "corrected"],
)
def test_every_scenario_at_length(scenarios: Callable[..., Iterator[Row]]) -> None:
    assert short_of_the_bar(scenarios(4000, np.random.default_rng(7))) == []
