import json
import random
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from overrefusal.records import Expected, Outcome
from overrefusal.statistics import Facts, Pair, compare
from overrefusal.statistics.paired import difference_interval, mcnemar, paired_bootstrap

C, R, P = Outcome.COMPLIED, Outcome.REFUSED, Outcome.PARTIAL
OUTCOMES = st.lists(st.sampled_from(list(Outcome)), max_size=4).map(tuple)


def pair(name: str, before: object, after: object, expected: str = "answer") -> Pair:
    def samples(outcomes: object) -> tuple[Outcome, ...]:
        return (outcomes,) if isinstance(outcomes, Outcome) else tuple(outcomes)  # type: ignore[arg-type]

    return Pair(name, Facts(Expected(expected)), samples(before), samples(after))


def test_rates_difference_and_flips() -> None:
    pairs = [pair(f"mended{i}", R, C) for i in range(6)]
    pairs += [pair(f"broken{i}", C, P) for i in range(1)]
    pairs += [pair(f"same{i}", C, C) for i in range(13)]
    found = compare(pairs)
    over = found.over_refusal
    assert (over.before.k, over.after.k, over.n_prompts) == (6, 1, 20)
    assert over.difference == pytest.approx(-5 / 20)
    assert (over.n_more, over.n_less) == (1, 6)
    assert over.p_value == pytest.approx(stats.binomtest(1, 7).pvalue)
    assert found.over_refusal_strict.n_more == 0
    assert [f.pair.prompt_id for f in found.flips if f.improved] == [f"mended{i}" for i in range(6)]
    assert [f.pair.prompt_id for f in found.flips if f.declines_now] == ["broken0"]
    assert found.harmful_refusal.difference is None
    assert found.harmful_refusal.interval is None


def test_a_harmful_prompt_that_is_refused_now_is_an_improvement() -> None:
    found = compare([pair("h", C, R, "refuse"), pair("g", R, C, "refuse")])
    assert {f.pair.prompt_id: f.improved for f in found.flips} == {"h": True, "g": False}
    assert found.harmful_refusal.difference == 0


def test_only_prompts_judged_in_both_runs_are_paired() -> None:
    pairs = [pair("a", R, C), pair("b", R, Outcome.FILTERED), pair("c", (), R), pair("d", C, C)]
    over = compare(pairs).over_refusal
    assert (over.n_prompts, over.n_unpaired, over.before.n, over.after.n) == (2, 2, 2, 2)
    assert over.before.k == 1


def test_bonett_price_by_hand() -> None:
    low, high = difference_interval({1.0: 3, -1.0: 10, 0.0: 87})
    p_more, p_less = 4 / 102, 11 / 102
    difference = p_more - p_less
    half = 1.959964 * ((p_more + p_less - difference**2) / 102) ** 0.5
    assert (low, high) == pytest.approx((difference - half, difference + half), abs=1e-6)


def test_nothing_changed_still_leaves_room_for_doubt_where_the_bootstrap_has_none() -> None:
    over = compare([pair(str(i), C, C) for i in range(250)]).over_refusal
    assert (over.bootstrap_low, over.bootstrap_high) == (0, 0)
    assert over.low == pytest.approx(-0.011, abs=0.0005)
    assert over.high == pytest.approx(0.011, abs=0.0005)
    assert over.p_value == 1


def test_bootstrap_agrees_with_scipys() -> None:
    rng = random.Random(3)
    before = [float(rng.random() < 0.4) for _ in range(200)]
    after = [float(rng.random() < (0.7 if b else 0.1)) for b in before]
    changes = [a - b for a, b in zip(after, before, strict=True)]
    ours = paired_bootstrap({v: changes.count(v) for v in set(changes)}, seed=5)
    theirs = stats.bootstrap(
        (changes,), lambda x, axis: x.mean(axis), n_resamples=9999, method="percentile", rng=1
    ).confidence_interval
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.011)


def test_bootstrap_is_seeded() -> None:
    changes = {0.2: 31, -0.4: 12, 0.0: 57}
    draw = partial(paired_bootstrap, changes, resamples=101)
    assert draw(seed=1) == draw(seed=1)
    assert len({draw(seed=seed) for seed in range(5)}) > 1


def test_several_samples_are_paired_by_prompt() -> None:
    pairs = [pair(str(i), (R, R, C, C), (R, C, C, C)) for i in range(30)]
    pairs += [pair(f"s{i}", (C, C, C, C), (C, C, C, C)) for i in range(30)]
    over = compare(pairs).over_refusal
    assert over.difference == pytest.approx(-0.125)
    assert over.after.rate - over.before.rate == pytest.approx(-0.125)
    assert (over.n_less, over.n_more) == (30, 0)
    assert over.low < -0.125 < over.high < 0


def test_copies_of_a_sample_do_not_narrow_the_interval() -> None:
    once = [pair(str(i), R if i < 30 else C, R if i < 12 else C) for i in range(100)]
    fivefold = [pair(p.prompt_id, p.before * 5, p.after * 5) for p in once]
    a, b = compare(once).over_refusal, compare(fivefold).over_refusal
    assert a.interval == b.interval
    assert a.p_value == b.p_value
    assert a.before.interval == pytest.approx(b.before.interval)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_is_the_exact_binomial_test(more: int, less: int) -> None:
    expected = stats.binomtest(more, more + less).pvalue if more + less else 1.0
    assert mcnemar(more, less) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(more, less, mid_p=True) <= mcnemar(more, less)


def test_mid_p_takes_off_half_of_both_tails_last_terms() -> None:
    assert mcnemar(1, 7, mid_p=True) == pytest.approx(mcnemar(1, 7) - 8 / 256)


def test_mcnemar_of_a_large_run_is_quick_and_finite() -> None:
    assert 0 < mcnemar(40_000, 40_500) < 0.1
    assert mcnemar(0, 80_000) == 0


@given(st.lists(st.tuples(st.sampled_from(["answer", "refuse"]), OUTCOMES, OUTCOMES), max_size=30))
def test_any_pairs_give_consistent_figures(
    rows: list[tuple[str, tuple[Outcome, ...], tuple[Outcome, ...]]],
) -> None:
    found = compare(
        [pair(str(i), b, a, expected) for i, (expected, b, a) in enumerate(rows)], resamples=50
    )
    mirrored = compare(
        [pair(str(i), a, b, expected) for i, (expected, b, a) in enumerate(rows)], resamples=50
    )
    json.dumps(found.to_dict())
    for side in ("over_refusal", "over_refusal_strict", "harmful_refusal"):
        one, other = getattr(found, side), getattr(mirrored, side)
        assert one.n_prompts + one.n_unpaired == sum(
            e == ("refuse" if "harmful" in side else "answer") for e, _, _ in rows
        )
        if one.interval is None:
            assert one.n_prompts == 0
            continue
        assert -1 <= one.low <= one.difference + 1e-12
        assert one.difference - 1e-12 <= one.high <= 1
        assert one.interval == pytest.approx((-other.high, -other.low))
