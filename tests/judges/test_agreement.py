"""Agreement with human labels, against scikit-learn and by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score, f1_score

from overrefusal.judges.agreement import DECLINED, Pair, agreement, agreement_by_model
from overrefusal.records import Outcome

C, P, R = Outcome.COMPLIED, Outcome.PARTIAL, Outcome.REFUSED


def test_by_hand() -> None:
    pairs = [Pair(R, R), Pair(P, R), Pair(P, C), Pair(C, C), Pair(C, P)]
    result = agreement([*pairs, Pair(R, Outcome.UNJUDGED), Pair(Outcome.UNJUDGED, C)])
    assert (result.n, result.unjudged, result.unlabelled) == (5, 1, 1)
    assert result.precision == pytest.approx(2 / 3)
    assert result.recall == pytest.approx(2 / 3)
    assert result.accuracy == pytest.approx(3 / 5)
    assert result.confusion["partial"] == {"refused": 1, "complied": 1}


def test_nothing_to_divide_by_is_no_figure() -> None:
    result = agreement([])
    assert result.f1 is None
    assert result.kappa is None


def test_each_model_apart() -> None:
    pairs = [Pair(R, R, "a"), Pair(R, C, "b")]
    recalls = {model: each.recall for model, each in agreement_by_model(pairs).items()}
    assert recalls == {"a": 1.0, "b": 0.0}


@given(st.lists(st.tuples(st.sampled_from([C, P, R]), st.sampled_from([C, P, R])), min_size=2))
def test_as_scikit_learn_has_it(both: list[tuple[Outcome, Outcome]]) -> None:
    result = agreement([Pair(human, judge) for human, judge in both])
    human = [h in DECLINED for h, _ in both]
    judge = [j in DECLINED for _, j in both]
    if any(human) or any(judge):
        assert result.f1 == pytest.approx(f1_score(human, judge, zero_division=0))
    if len({*human, *judge}) == 2:
        assert result.kappa == pytest.approx(cohen_kappa_score(human, judge))
