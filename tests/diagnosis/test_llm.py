"""A pattern named by a model: read strictly, and never a default."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal import Pattern, Response
from overrefusal.diagnosis import diagnose_async
from overrefusal.diagnosis.llm import guess_by, parse
from overrefusal.records import Actor
from tests.diagnosis.doorman import benign, doorman, run_of


class Scripted:
    """A model with one answer."""

    spec = "scripted"

    def __init__(self, response):
        self.response = response
        self.requests = []

    async def answer(self, request):
        self.requests.append(request)
        return self.response

    async def close(self):
        self.response = Response(error="closed")


def said(pattern="dual_use", probability=0.8):
    return Response(text=json.dumps({"pattern": pattern, "probability": probability}))


async def test_its_word_is_the_guess():
    model = Scripted(said())
    guess = await guess_by(model, benign("How do I store petrol?", system="Be brief."))
    assert (guess.pattern, guess.probability, guess.by) == (Pattern.DUAL_USE, 0.8, "llm:scripted")
    asked = model.requests[0].messages
    assert "How do I store petrol?" in asked[1].content
    assert "Be brief." in asked[1].content
    assert all(pattern.value in asked[0].content for pattern in Pattern)


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (Response(error="down"), "failed: down"),
        (Response(text="I can't.", actor=Actor.MODEL_API), "did not answer"),
        (Response(text='{"pattern": "dual', truncated=True), "cut off"),
        (Response(text="dual_use"), "no JSON object"),
        (Response(text='["dual_use"]'), "no JSON object"),
        (said(pattern="dual use"), "none of the six"),
        (said(pattern=None), "none of the six"),
        (said(pattern=["dual_use"]), "none of the six"),
        (said(probability="high"), "no probability"),
        (said(probability=True), "no probability"),
        (said(probability=None), "no probability"),
        (said(probability=1.5), "a probability of 1.5"),
    ],
)
async def test_anything_else_is_no_pattern_with_the_reason(response, reason):
    guess = await guess_by(Scripted(response), benign("Hello?"))
    assert guess.pattern is None
    assert guess.probability is None
    assert reason in guess.reason


@given(st.text() | st.from_type(dict).map(str))
def test_no_text_breaks_the_reading(text):
    guess = parse(text, Scripted(None))
    assert guess.pattern is None
    assert guess.reason


async def test_in_a_diagnosis_it_takes_the_classifiers_place(tmp_path):
    async with doorman(lambda _, text: "kill" in text) as door:
        run = await run_of(door, tmp_path / "s.db", benign("kill process"))
        for response, pattern in (
            (said("persona_fiction"), Pattern.PERSONA_FICTION),
            (Response(text="?"), None),
        ):
            report = await diagnose_async(run, llm=Scripted(response), connection=door.connection)
            (diagnosis,) = report.diagnoses
            assert diagnosis.guess.by == "llm:scripted"
            assert diagnosis.pattern is pattern
            assert report.to_dict()["diagnoses"][0]["pattern"]["name"] == pattern
