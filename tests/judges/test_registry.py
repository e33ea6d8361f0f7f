"""Which judge a spec names."""

from __future__ import annotations

import pytest

from overrefusal.errors import OverrefusalError
from overrefusal.judges.labels import LabelsJudge
from overrefusal.judges.registry import get_judge
from overrefusal.judges.rules import RulesJudge


def test_known_specs() -> None:
    assert isinstance(get_judge("rules"), RulesJudge)
    assert isinstance(get_judge("labels:human"), LabelsJudge)


@pytest.mark.parametrize(
    "spec", ["cascade", "cascade:", "cascade:local", "cascade:local,", "cascade:,rules"]
)
def test_a_cascade_needs_two_judges(spec: str) -> None:
    with pytest.raises(OverrefusalError, match="needs two judges, as in cascade:local,llm:MODEL"):
        get_judge(spec)


def test_the_second_judge_of_a_cascade_may_carry_commas() -> None:
    cascade = get_judge("cascade:local,labels:human?ja=complied,nein=refused")
    assert "local/" in cascade.identity
    assert "labels" in cascade.identity


@pytest.mark.parametrize("spec", ["", "rule", "rules:x", "labels:", "llm:", "llm:openai/x"])
def test_what_names_no_judge_is_an_error_of_one_line(spec: str) -> None:
    with pytest.raises(OverrefusalError) as error:
        get_judge(spec)
    assert "\n" not in str(error.value)
