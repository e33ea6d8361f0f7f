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


@pytest.mark.parametrize("spec", ["", "rule", "rules:x", "labels:", "llm:", "llm:openai/x"])
def test_what_names_no_judge_is_an_error_of_one_line(spec: str) -> None:
    with pytest.raises(OverrefusalError) as error:
        get_judge(spec)
    assert "\n" not in str(error.value)
