import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from overrefusal.errors import OverrefusalError
from overrefusal.statistics.interval import design_effect, rate_of, wilson, z_value


@pytest.mark.parametrize(("k", "n"), [(0, 30), (1, 30), (15, 30), (30, 30), (20, 2000)])
def test_one_sample_a_prompt_is_scipys_wilson(k: int, n: int) -> None:
    rate = rate_of({(1, 1): k, (0, 1): n - k})
    expected = stats.binomtest(k, n).proportion_ci(method="wilson")
    assert (rate.k, rate.n, rate.n_prompts, rate.method) == (k, n, n, "wilson")
    assert rate.interval == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_bounds_are_exact_at_the_ends() -> None:
    assert rate_of({(0, 1): 40}).low == 0.0
    assert rate_of({(1, 1): 40}).high == 1.0
    assert rate_of({(0, 1): 40}).high > 0.05


def test_without_data_there_is_no_rate() -> None:
    for prompts in ({}, {(0, 0): 12}):
        rate = rate_of(prompts)
        assert (rate.n, rate.rate, rate.interval, rate.method) == (0, None, None, "none")


def test_prompts_without_samples_are_not_counted() -> None:
    assert rate_of({(1, 1): 3, (0, 1): 7, (0, 0): 90}) == rate_of({(1, 1): 3, (0, 1): 7})


def test_samples_all_alike_within_prompts_weigh_as_one_each() -> None:
    single = rate_of({(1, 1): 100, (0, 1): 150})
    copied = rate_of({(5, 5): 100, (0, 5): 150})
    assert copied.method == "clustered_wilson"
    assert copied.n == 1250
    assert copied.interval == pytest.approx(single.interval, abs=1e-12)


def test_samples_independent_within_prompts_weigh_almost_in_full() -> None:
    weights = [math.comb(5, hits) for hits in range(6)]
    binomial = {(hits, 5): weight * 100 for hits, weight in enumerate(weights)}
    assert design_effect(binomial) == pytest.approx(1.0, abs=0.01)


def test_many_samples_without_a_refusal_weigh_as_their_prompts() -> None:
    assert rate_of({(0, 5): 30}).interval == pytest.approx(rate_of({(0, 1): 30}).interval)


def test_rare_clustered_refusals_have_the_poisson_limit() -> None:
    clustered, single = rate_of({(5, 5): 2, (0, 5): 48}), rate_of({(1, 1): 2, (0, 1): 48})
    assert clustered.low < 0.01 < single.low
    assert clustered.low == pytest.approx(stats.chi2.ppf(0.05, 4) / 2 / 50, rel=0.05)
    mirrored = rate_of({(0, 5): 2, (5, 5): 48})
    assert mirrored.high == pytest.approx(1 - clustered.low)


def test_variance_is_that_of_the_ratio_residuals() -> None:
    prompts = {(2, 3): 40, (0, 5): 60, (4, 4): 50, (1, 2): 30}
    n = sum(m * c for (_, m), c in prompts.items())
    rows = [(k, m) for (k, m), c in prompts.items() for _ in range(c)]
    p = sum(k for k, _ in rows) / n
    variance = len(rows) / (len(rows) - 1) * sum((k - p * m) ** 2 for k, m in rows) / n**2
    raw = variance / (p * (1 - p) / n)
    ceiling = sum(m * m for _, m in rows) / n
    informative = 120  # 120 prompts have a hit, 130 a miss
    assert design_effect(prompts) == pytest.approx(
        (informative * raw + ceiling) / (informative + 1), rel=1e-12
    )


@given(
    st.dictionaries(
        st.integers(0, 6).flatmap(lambda m: st.tuples(st.integers(0, m), st.just(m))),
        st.integers(1, 50),
        min_size=1,
    ),
    st.sampled_from([0.8, 0.95, 0.99]),
)
def test_intervals_hold_their_estimate_within_0_and_1(
    prompts: dict[tuple[int, int], int], confidence: float
) -> None:
    rate = rate_of(prompts, confidence)
    if rate.interval is None:
        assert all(m == 0 for _, m in prompts)
        return
    low, high = rate.interval
    assert 0 <= low <= rate.k / rate.n <= high <= 1
    assert low < high
    assert rate.estimate == rate.k / rate.n


def test_higher_confidence_is_wider() -> None:
    narrow, wide = wilson(0.1, 100, z_value(0.8)), wilson(0.1, 100, z_value(0.99))
    assert wide[0] < narrow[0] < 0.1 < narrow[1] < wide[1]


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95.0, -0.5])
def test_confidence_outside_0_to_1_is_named(confidence: float) -> None:
    with pytest.raises(OverrefusalError, match=f"confidence {confidence}"):
        rate_of({(1, 1): 1}, confidence)
