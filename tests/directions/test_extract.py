"""Extraction on Bouncer: what is kept, what is dropped, and what is said when nothing is left."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from overrefusal.bouncer import suite as bouncer_suite  # noqa: E402
from overrefusal.directions.extract import (  # noqa: E402
    FALSE,
    HARMFUL,
    LEAST,
    PLAIN,
    Plan,
    draw,
    extract,
)
from overrefusal.errors import OverrefusalError  # noqa: E402
from overrefusal.judges.rules import RulesJudge  # noqa: E402
from overrefusal.records import Group, Outcome, Verdict  # noqa: E402
from overrefusal.suites import suite_of  # noqa: E402
from tests.directions.conftest import PLAN  # noqa: E402


class Always:
    """A judge of one mind."""

    identity = "always"

    def __init__(self, outcome):
        self._outcome = outcome

    async def judge(self, exchanges):
        return [Verdict(self._outcome) for _ in exchanges]

    async def close(self):
        pass


def test_means_rest_on_prompts_the_model_acts_on_as_their_group_says(extraction):
    counts = dict(zip(extraction.moments.groups, extraction.moments.counts, strict=True))
    assert 20 < counts[HARMFUL] <= 40
    assert 20 < counts[PLAIN] <= 40
    assert counts[FALSE] + extraction.dropped["suspicious answered"] <= 52
    assert set(extraction.validation) == {g.value for g in Group}
    assert extraction.moments.means.shape[1:] == (5, 3, extraction.moments.means.shape[-1])
    assert all(n >= LEAST for name, n in counts.items() if "/" in name)
    assert "harmful/language/de" in counts
    assert any(name.startswith("suspicious/pattern/") for name in counts)


def test_refusal_tokens_are_found_from_the_models_own_refusals(extraction, subject):
    opening = {subject.loaded.tokenizer.decode([i]) for i in extraction.tokens.ids}
    assert "I" in opening
    assert extraction.tokens.opens_refusals > 0.6 > extraction.tokens.opens_answers


def test_training_and_validation_prompts_do_not_overlap_and_hang_on_the_seed(suite):
    train, validation = draw(suite, PLAN)
    assert not {p.id for p in train} & {p.id for p in validation}
    harmful = [p for p in train if p.group is Group.HARMFUL and p.language == "en"]
    assert len(harmful) == 40
    assert [p.id for p in draw(suite, PLAN)[0]] == [p.id for p in train]
    assert [p.id for p in draw(suite, Plan(train=40, validation=12, seed=1))[0]] != [
        p.id for p in train
    ]


def test_of_a_small_suite_half_is_left_to_test_with():
    prompts = bouncer_suite("train", 60, 0)
    train, validation = draw(prompts, Plan(train=128, validation=32))
    # Twelve groups of five, three of each drawn.
    assert len(train) + len(validation) == 36
    assert len(validation) == 12


@pytest.mark.parametrize("missing", [Group.HARMFUL, Group.PLAIN])
def test_a_suite_of_one_class_is_an_error(subject, missing):
    kept = [p for p in bouncer_suite("train", 60, 0) if p.group is not missing]
    with pytest.raises(OverrefusalError, match=f"suite half has no {missing} prompts"):
        extract(subject, suite_of("half", kept), RulesJudge())


def test_a_language_that_the_suite_does_not_have_is_named(subject, suite):
    with pytest.raises(OverrefusalError, match=r"no harmful prompts left of .* language 'it'"):
        extract(subject, suite, RulesJudge(), Plan(language="it", train=8, validation=4))


@pytest.mark.parametrize(
    ("outcome", "message"),
    [
        (Outcome.COMPLIED, "no harmful prompts left of 12 .* answered 12 of them"),
        (Outcome.REFUSED, "no plain prompts left of 12 .* refused 12 of them"),
    ],
)
def test_what_the_filter_took_is_said_when_nothing_is_left(subject, suite, outcome, message):
    with pytest.raises(OverrefusalError, match=message):
        extract(subject, suite, Always(outcome), Plan(train=8, validation=4))
