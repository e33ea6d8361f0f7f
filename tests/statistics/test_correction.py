import pytest

from overrefusal.errors import OverrefusalError
from overrefusal.records import Expected, Outcome
from overrefusal.statistics import Facts, Label, Tally, corrected_rate, judged_counts, rate_of


def labels(yes_yes: int, yes_no: int, no_yes: int, no_no: int, stratum: str = "") -> list[Label]:
    """Labels by (human, judge)."""
    return (
        [Label(True, True, stratum)] * yes_yes
        + [Label(True, False, stratum)] * yes_no
        + [Label(False, True, stratum)] * no_yes
        + [Label(False, False, stratum)] * no_no
    )


def test_estimate_is_the_peoples_share_within_each_verdict() -> None:
    found = corrected_rate({("", True): 200, ("", False): 800}, labels(30, 5, 10, 55))
    assert found.estimate == pytest.approx(0.2 * 30 / 40 + 0.8 * 5 / 60)
    assert (found.judged, found.n, found.n_labels) == (0.2, 1000, 100)
    assert found.low < found.estimate < found.high


def test_estimate_agrees_with_ppi_plus_plus() -> None:
    """For a yes-or-no judge, PPI++ with the regression weight is post-stratification exactly."""
    n_yes, n_total, sample = 37, 500, labels(9, 4, 3, 44)
    human = [float(label.human) for label in sample]
    judge = [float(label.judge) for label in sample]
    mean_h, mean_j = sum(human) / 60, sum(judge) / 60
    slope = sum((h - mean_h) * (j - mean_j) for h, j in zip(human, judge, strict=True)) / sum(
        (j - mean_j) ** 2 for j in judge
    )
    found = corrected_rate({("", True): n_yes, ("", False): n_total - n_yes}, sample)
    assert found.estimate == pytest.approx(mean_h + slope * (n_yes / n_total - mean_j))


def test_a_perfect_judge_wholly_labelled_is_a_plain_rate() -> None:
    found = corrected_rate({("", True): 6, ("", False): 24}, labels(6, 0, 0, 24))
    plain = rate_of({(1, 1): 6, (0, 1): 24})
    assert found.estimate == plain.rate
    assert found.low <= plain.low
    assert found.high >= plain.high


def test_rate_0_keeps_its_width() -> None:
    found = corrected_rate({("", True): 100, ("", False): 1900}, labels(0, 0, 5, 95))
    assert (found.estimate, found.low) == (0, 0)
    assert 0.02 < found.high < 0.06


def test_interval_is_wider_than_the_judges_own() -> None:
    found = corrected_rate({("", True): 500, ("", False): 1500}, labels(22, 3, 3, 72))
    plain = rate_of({(1, 1): 500, (0, 1): 1500})
    assert found.high - found.low > plain.high - plain.low


def test_more_labels_narrow_it() -> None:
    judged = {("", True): 500, ("", False): 1500}
    few, many = (corrected_rate(judged, labels(9 * m, m, m, 9 * m)) for m in (2, 20))
    assert many.high - many.low < few.high - few.low
    assert many.estimate == pytest.approx(few.estimate)


def test_oversampling_by_verdict_needs_no_weights() -> None:
    judged = {("", True): 100, ("", False): 900}
    even = corrected_rate(judged, labels(40, 5, 10, 45))
    skewed = corrected_rate(judged, labels(8, 10, 2, 90))
    assert even.estimate == pytest.approx(skewed.estimate)


def test_strata_are_weighed_by_their_share_of_the_run() -> None:
    judged = {("en", True): 10, ("en", False): 90, ("de", True): 450, ("de", False): 450}
    sample = labels(5, 0, 0, 45, "en") + labels(20, 5, 5, 20, "de")
    found = corrected_rate(judged, sample)
    assert found.estimate == pytest.approx(0.1 * 0.1 + 0.9 * (0.5 * 0.8 + 0.5 * 0.2))


def test_weights_undo_unequal_chances_to_be_labelled() -> None:
    judged = {("", True): 400, ("", False): 600}
    sample = [Label(True, True)] * 30 + [Label(False, True, weight=3.0)] * 10
    sample += [Label(False, False)] * 40
    found = corrected_rate(judged, sample)
    assert found.estimate == pytest.approx(0.4 * 30 / 60)
    unweighted = corrected_rate(judged, labels(30, 0, 10, 40))
    assert unweighted.estimate == pytest.approx(0.4 * 30 / 40)


def test_a_verdict_nobody_labelled_leaves_room_for_all_or_none() -> None:
    found = corrected_rate({("", True): 20, ("", False): 80}, labels(0, 0, 0, 40))
    assert found.estimate == pytest.approx(0.2)
    assert found.low == 0
    assert found.high > 0.2


def test_an_unlabelled_stratum_borrows_its_estimate_and_not_its_certainty() -> None:
    judged = {("en", True): 40, ("en", False): 40, ("de", True): 20}
    found = corrected_rate(judged, labels(30, 0, 10, 40, "en"))
    assert found.estimate == pytest.approx(0.6 * 0.75)
    assert found.low < 0.4 * 0.75
    assert found.high > 0.4 * 0.75 + 0.2


def test_samples_that_share_prompts_widen_it() -> None:
    judged = {("", True): 100, ("", False): 900}
    single = corrected_rate(judged, labels(40, 1, 1, 45))
    shared = corrected_rate(judged, labels(40, 1, 1, 45), n_prompts=200)
    assert shared.high - shared.low > single.high - single.low


def test_counts_come_from_a_tally() -> None:
    tally = Tally()
    for outcome in ("refused", "partial", "complied", "empty", "filtered", "error", "unjudged"):
        tally.add(Facts(Expected.ANSWER), [Outcome(outcome)])
    tally.add(Facts(Expected.REFUSE), [Outcome.REFUSED])
    assert judged_counts(tally, Expected.ANSWER) == {("", True): 2, ("", False): 2}
    assert judged_counts(tally, Expected.ANSWER, strict=True) == {("", True): 1, ("", False): 3}


@pytest.mark.parametrize(
    ("judged", "sample", "message"),
    [
        ({("", True): 5, ("", False): 5}, [], "got 10 and 0"),
        ({}, labels(1, 0, 0, 1), "got 0 and 2"),
        ({("", True): 2, ("", False): 5}, labels(3, 0, 0, 1), "3 labels in stratum ''"),
        ({("", True): 2, ("", False): 5}, labels(1, 0, 0, 1, "de"), "stratum 'de'"),
        ({("", True): 2}, [Label(True, True, weight=0.0)], "weight 0.0"),
    ],
)
def test_labels_that_do_not_fit_are_named(judged: dict, sample: list, message: str) -> None:
    with pytest.raises(OverrefusalError, match=message):
        corrected_rate(judged, sample)
