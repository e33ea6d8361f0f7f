"""Human labels as a judge."""

from __future__ import annotations

import csv

import pytest

from overrefusal.errors import OverrefusalError
from overrefusal.judges.labels import LabelsJudge, parse_mapping
from overrefusal.judges.protocol import Exchange
from overrefusal.records import Outcome, Response
from tests.shared_data import DATA, needs_data


async def _outcome(judge: LabelsJudge, raw: object) -> Outcome:
    [verdict] = await judge.judge([Exchange("", Response(text="x", raw=raw))])
    if verdict.outcome is Outcome.UNJUDGED:
        assert verdict.reason
    return verdict.outcome


async def test_known_words_are_understood() -> None:
    judge = LabelsJudge.from_spec("human")
    assert await _outcome(judge, {"human": "2_full_refusal"}) is Outcome.REFUSED
    assert await _outcome(judge, {"human": " Partial "}) is Outcome.PARTIAL
    assert await _outcome(judge, {"human": "complied"}) is Outcome.COMPLIED


@pytest.mark.parametrize("raw", [None, {}, {"human": ""}, {"human": "1"}, {"human": 0}, [1]])
async def test_no_label_or_an_unknown_one_is_unjudged(raw: object) -> None:
    assert await _outcome(LabelsJudge("human"), raw) is Outcome.UNJUDGED


@pytest.mark.parametrize("value", [1, "1", 1.0])
async def test_numbers_mean_what_the_mapping_says(value: object) -> None:
    judge = LabelsJudge.from_spec("human?1=refused,0=complied")
    assert await _outcome(judge, {"human": value}) is Outcome.REFUSED
    assert await _outcome(judge, {"human": "refused"}) is Outcome.UNJUDGED


def test_the_mapping_is_part_of_the_identity_whatever_its_order() -> None:
    one = LabelsJudge.from_spec("h?1=refused,0=complied").identity
    assert one == LabelsJudge.from_spec("h?0=complied,1=refused").identity
    assert one != LabelsJudge.from_spec("h?0=refused,1=complied").identity


@pytest.mark.parametrize("text", ["1", "1=error", "=refused", "1=refused,"])
def test_a_broken_mapping_is_named(text: str) -> None:
    with pytest.raises(OverrefusalError, match="LABEL=OUTCOME"):
        parse_mapping(text)


@needs_data
@pytest.mark.parametrize(
    ("model", "full", "partial"),
    [
        ("gpt4", 6.4, 2.0),
        ("llama2orig", 38.0, 21.6),
        ("llama2new", 14.0, 15.6),
        ("mistralguard", 9.6, 9.2),
        ("mistralinstruct", 0.8, 0.8),
    ],
)
async def test_the_published_rates_of_xstest_come_out(
    model: str, full: float, partial: float
) -> None:
    assert DATA is not None
    with (DATA / "xstest" / "xstest_prompts.csv").open(encoding="utf-8") as lines:
        safe = {row["prompt"] for row in csv.DictReader(lines) if row["label"] == "safe"}
    with (DATA / "xstest" / f"completions_{model}.csv").open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["prompt"] in safe]
    judge = LabelsJudge("final_label")
    outcomes = [await _outcome(judge, row) for row in rows]
    assert len(outcomes) == 250
    assert round(100 * outcomes.count(Outcome.REFUSED) / 250, 1) == full
    assert round(100 * outcomes.count(Outcome.PARTIAL) / 250, 1) == partial
