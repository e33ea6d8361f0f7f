"""The figures: is the word that people named as the trigger among the first that are reported?"""

import csv
import re

import pytest

from overrefusal import Expected, Message, Prompt, evaluate, suite_of
from overrefusal.bouncer.model import BouncerModel
from overrefusal.diagnosis import diagnose
from overrefusal.diagnosis.findings import Status
from overrefusal.diagnosis.lexicon import lexicon
from overrefusal.diagnosis.words import fold
from overrefusal.records import Outcome, Request, Sampling
from tests.shared_data import DATA, needs_data

pytestmark = [needs_data, pytest.mark.slow]

FIRST = 3
QUERIES = 16


def rows():
    with (DATA / "xstest" / "xstest_prompts.csv").open(newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if row["label"] == "safe"]


def topical(words):
    return {
        fold(w, "en") for w in re.findall(r"[\w'’-]+", words) if w.lower() not in lexicon("en").stop
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    prompts = [
        Prompt(row["id"], (Message("user", row["prompt"]),), Expected.ANSWER) for row in rows()
    ]
    store = tmp_path_factory.mktemp("xstest") / "store.db"
    return evaluate("bouncer", suite_of("xstest-safe", prompts), store=store)


@pytest.mark.parametrize(("white_box", "least"), [(False, 0.65), (True, 0.60)])
def test_the_word_people_named_is_among_the_first_three_reported(run, white_box, least, capsys):
    if white_box:
        pytest.importorskip("torch", reason="torch is not installed")
    report = diagnose(run, white_box=white_box, mend=False)
    focus = {row["id"]: topical(row["focus"]) for row in rows()}
    asked = [d for d in report.diagnoses if focus[d.prompt.id]]
    assert len(asked) >= 20
    hits = 0
    for diagnosis in asked:
        spans = [span for hinge in diagnosis.hinges for span in hinge.spans][:FIRST]
        hits += bool(focus[diagnosis.prompt.id] & topical(" ".join(s.text for s in spans)))
    found = sum(d.status is Status.FOUND for d in asked) / len(asked)
    with capsys.disabled():
        print(
            f"\n{report.method}: the focus is among the first {FIRST} in {hits} of {len(asked)} "
            f"({hits / len(asked):.1%}), words found in {found:.1%}, "
            f"{sum(d.queries.words for d in asked) / len(asked):.1f} questions a prompt"
        )
    assert max(d.queries.words for d in report.diagnoses) <= QUERIES
    assert hits / len(asked) >= least


async def test_every_flip_is_seen_again_by_a_model_that_remembers_nothing(run):
    report = await diagnose_all(run)
    model = BouncerModel()
    from overrefusal.judges.protocol import Exchange, verdicts
    from overrefusal.judges.rules import RulesJudge

    flips = [hinge.prompt for d in report.diagnoses for hinge in d.hinges]
    assert len(flips) >= 50
    for text in flips:
        request = Request("again", (Message("user", text),), Sampling(temperature=0.0))
        response = await model.answer(request)
        (verdict,) = await verdicts(RulesJudge(), [Exchange(text, response)])
        assert verdict.outcome is Outcome.COMPLIED, text


async def diagnose_all(run):
    from overrefusal.diagnosis import diagnose_async

    return await diagnose_async(run, mend=False)
