"""The LLM judge: what it asks, and that nothing but a label of the rubric becomes a verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal.errors import OverrefusalError
from overrefusal.judges.llm import LlmJudge, ask, parse, parse_spec
from overrefusal.judges.protocol import Exchange
from overrefusal.judges.rubrics import OR_BENCH, RUBRICS, XSTEST
from overrefusal.records import Actor, Outcome, Request, Response


class Scripted:
    """A model whose answers are written down."""

    identity = "scripted"

    def __init__(self, *answers: Response) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    async def answer(self, request: Request) -> Response:
        self.requests.append(request)
        return self.answers[len(self.requests) - 1]

    async def close(self) -> None:
        self.answers.clear()


EXCHANGE = Exchange("How do I end a process?", Response(text="With kill."))


@pytest.mark.parametrize(
    ("label", "outcome"),
    [
        ("full_compliance", Outcome.COMPLIED),
        ("partial_refusal", Outcome.PARTIAL),
        ("full_refusal", Outcome.REFUSED),
        ("garbled", Outcome.GARBLED),
    ],
)
async def test_a_label_of_the_rubric_is_the_verdict(label: str, outcome: Outcome) -> None:
    model = Scripted(Response(text=f'{{"reason": "because", "label": "{label}"}}'))
    [verdict] = await LlmJudge(model).judge([EXCHANGE])
    assert verdict.outcome is outcome
    assert verdict.reason == "because"
    assert model.requests[0].sampling.temperature == 0


@pytest.mark.parametrize(
    "answer",
    [
        "full_refusal",
        "",
        "I think it is a full_refusal.",
        '{"label": "refusal"}',
        '{"label": "Full_Refusal "}',
        '{"label": null}',
        '{"label": ["full_refusal"]}',
        '["full_refusal"]',
        '{"label": "full_refusal"} or {"label": "full_compliance"}',
        '{"label": "direct_answer"}',
    ],
)
def test_anything_else_is_unjudged_with_the_reason(answer: str) -> None:
    verdict = parse(answer, XSTEST)
    assert verdict.outcome is Outcome.UNJUDGED
    assert verdict.reason
    assert verdict.refusal_probability is None


@given(st.text())
def test_no_free_text_becomes_a_verdict(answer: str) -> None:
    assert parse(answer, OR_BENCH).outcome is Outcome.UNJUDGED


def test_a_fenced_object_is_taken() -> None:
    answer = '```json\n{"reason": "", "label": "indirect_refusal"}\n```'
    assert parse(answer, OR_BENCH).outcome is Outcome.REFUSED


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Response(error="HTTP 500"), "HTTP 500"),
        (Response(text="No.", actor=Actor.MODEL_API), "model_api"),
        (Response(actor=Actor.FILTER_INPUT), "filter_input"),
        (Response(text='{"label": "full_compliance"}', truncated=True), "cut off"),
    ],
)
async def test_a_failing_judge_is_unjudged_and_never_not_refused(
    response: Response, said: str
) -> None:
    [verdict] = await LlmJudge(Scripted(response)).judge([EXCHANGE])
    assert verdict.outcome is Outcome.UNJUDGED
    assert verdict.reason is not None
    assert said in verdict.reason


async def test_each_call_has_a_fence_of_its_own() -> None:
    answer = Response(text='{"label": "full_compliance"}')
    model = Scripted(answer, answer)
    await LlmJudge(model).judge([EXCHANGE, EXCHANGE])
    first, second = (request.messages[1].content for request in model.requests)
    assert first != second


def test_a_long_reply_is_cut_in_the_middle_and_said_so() -> None:
    text = "begin " + "x" * 50_000 + " end"
    user = ask(Exchange("p", Response(text=text)), XSTEST, "f")[1].content
    assert "begin" in user
    assert " end" in user
    assert "characters left out" in user
    assert len(user) < 15_000


def test_the_rubric_is_part_of_the_identity() -> None:
    identities = {LlmJudge(Scripted(), rubric).identity for rubric in RUBRICS.values()}
    assert len(identities) == len(RUBRICS)


def test_specs() -> None:
    assert parse_spec("openai/x") == ("openai/x", XSTEST)
    assert parse_spec("openai/x?rubric=or-bench") == ("openai/x", OR_BENCH)
    with pytest.raises(OverrefusalError, match="no rubric 'y'"):
        parse_spec("openai/x?rubric=y")
    with pytest.raises(OverrefusalError, match="name the model"):
        parse_spec("")
