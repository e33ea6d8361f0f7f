"""Bedrock's Converse, asked over a real connection."""

import importlib.util
import sys
from typing import Any

import pytest
from aiohttp import web

from overrefusal.errors import OverrefusalError
from overrefusal.models.registry import open_model
from overrefusal.records import Actor, Message, Request, Sampling
from tests.models.asking import KEY, ask
from tests.servers import provider_server
from tests.servers.formats import converse_answer

SPEC = "bedrock/amazon.nova-lite-v1:0"
CANNED = "Sorry, the model cannot answer this question."

needs_botocore = pytest.mark.skipif(
    importlib.util.find_spec("botocore") is None, reason="botocore is not installed"
)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_BEARER_TOKEN_BEDROCK", "AWS_ACCESS_KEY_ID", "BEDROCK_GUARDRAIL"):
        monkeypatch.delenv(name, raising=False)


def _trace(**guardrail: Any) -> dict[str, Any]:
    return {"trace": {"guardrail": guardrail}}


def _topic(name: str, action: str = "BLOCKED") -> dict[str, Any]:
    return {"topicPolicy": {"topics": [{"name": name, "type": "DENY", "action": action}]}}


async def test_answer_with_reasoning() -> None:
    payload = converse_answer()
    payload["output"]["message"]["content"] = [
        {"reasoningContent": {"reasoningText": {"text": "Is it safe?", "signature": "abc"}}},
        {"text": "Yes."},
    ]
    r = await ask(SPEC, payload)
    assert (r.text, r.thinking, r.actor) == ("Yes.", "Is it safe?", None)
    assert (r.input_tokens, r.output_tokens, r.finish_reason) == (12, 34, "end_turn")


async def test_guardrail_on_the_input() -> None:
    filters = [
        {"type": "VIOLENCE", "confidence": "HIGH", "action": "BLOCKED"},
        {"type": "HATE", "confidence": "LOW", "action": "NONE"},
    ]
    assessment = {**_topic("Weapons"), "contentPolicy": {"filters": filters}}
    payload = converse_answer(
        CANNED, "guardrail_intervened", **_trace(inputAssessment={"gr-1": assessment})
    )
    r = await ask(SPEC, payload)
    assert (r.actor, r.categories) == (Actor.FILTER_INPUT, ("Weapons", "VIOLENCE"))
    assert r.text == "", "the guardrail's own sentence is not the model's"
    assert (r.finish_reason, r.raw) == ("guardrail_intervened", payload)


async def test_guardrail_on_the_output_keeps_what_the_model_said() -> None:
    words = {"wordPolicy": {"customWords": [{"match": "secret", "action": "BLOCKED"}]}}
    trace = _trace(
        modelOutput=["The model said a secret."],
        inputAssessment={"gr-1": _topic("Weapons", "NONE")},
        outputAssessments={"gr-1": [words, _topic("Secrets")]},
    )
    r = await ask(SPEC, converse_answer(CANNED, "guardrail_intervened", **trace))
    assert (r.actor, r.categories) == (Actor.FILTER_OUTPUT, ("CUSTOM_WORD", "Secrets"))
    assert r.text == "The model said a secret."


async def test_guardrail_that_only_masks_leaves_the_answer() -> None:
    entity = {"type": "NAME", "match": "Ada", "action": "ANONYMIZED"}
    trace = _trace(
        outputAssessments={"gr-1": [{"sensitiveInformationPolicy": {"piiEntities": [entity]}}]}
    )
    r = await ask(SPEC, converse_answer("Ask {NAME}.", "guardrail_intervened", **trace))
    assert (r.actor, r.categories, r.text) == (Actor.FILTER_OUTPUT, ("NAME",), "Ask {NAME}.")


@pytest.mark.parametrize(("tokens", "actor"), [(0, "filter_input"), (34, "filter_output")])
async def test_guardrail_without_a_trace(tokens: int, actor: str) -> None:
    usage = {"inputTokens": 0, "outputTokens": tokens, "totalTokens": tokens}
    r = await ask(SPEC, converse_answer(CANNED, "guardrail_intervened", usage=usage))
    assert (r.actor, r.categories, r.text) == (Actor(actor), (), "")


async def test_content_filtered_and_truncated() -> None:
    r = await ask(SPEC, converse_answer("The first", "content_filtered"))
    assert (r.actor, r.text) == (Actor.FILTER_OUTPUT, "The first")
    assert (await ask(SPEC, converse_answer("An unfin", "max_tokens"))).truncated


async def test_unknown_model_is_a_bad_request_here() -> None:
    with pytest.raises(OverrefusalError, match="AWS_REGION"):
        await ask(SPEC, {"message": "The provided model identifier is invalid."}, 400)


async def _sent(monkeypatch: pytest.MonkeyPatch, key: str | None) -> tuple[str, Any, Any]:
    seen: list[tuple[str, Any, Any]] = []

    async def handler(http: web.Request) -> web.Response:
        seen.append((http.raw_path, http.headers, await http.json()))
        return web.json_response(converse_answer())

    messages = (Message("system", "Be kind."), Message("user", "Hello?"))
    async with provider_server(handler) as url:
        model = open_model(SPEC, base_url=url, api_key=key)
        r = await model.answer(Request("p1", messages, Sampling(0.0, 64, 0.9)))
        await model.close()
    assert r.text == "An answer."
    return seen[0]


async def test_what_is_sent_with_a_bearer_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEDROCK_GUARDRAIL", "arn:aws:bedrock:eu:1:guardrail/gr-1:DRAFT")
    path, headers, body = await _sent(monkeypatch, KEY)
    assert path == "/model/amazon.nova-lite-v1%3A0/converse"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {
        "system": [{"text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"text": "Hello?"}]}],
        "inferenceConfig": {"temperature": 0.0, "maxTokens": 64, "topP": 0.9},
        "guardrailConfig": {
            "guardrailIdentifier": "arn:aws:bedrock:eu:1:guardrail/gr-1",
            "guardrailVersion": "DRAFT",
            "trace": "enabled",
        },
    }
    assert "gr-1:DRAFT" in open_model(SPEC, api_key=KEY).identity


@needs_botocore
async def test_what_is_sent_with_a_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session")
    _, headers, _ = await _sent(monkeypatch, None)
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert "/eu-central-1/bedrock/aws4_request" in headers["Authorization"]
    assert headers["X-Amz-Security-Token"] == "session"
    assert "wJalrXUtnFEMI" not in str(headers)


@needs_botocore
def test_no_credentials() -> None:
    with pytest.raises(OverrefusalError, match="AWS_BEARER_TOKEN_BEDROCK"):
        open_model(SPEC)


def test_signing_needs_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.auth", None)
    with pytest.raises(OverrefusalError, match=r"overrefusal\[bedrock\]"):
        open_model(SPEC)


def test_no_region(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    with pytest.raises(OverrefusalError, match="set AWS_REGION"):
        open_model(SPEC, api_key=KEY)


async def test_access_denied_names_the_region() -> None:
    with pytest.raises(OverrefusalError, match="eu-central-1"):
        await ask(SPEC, {"message": "You don't have access to the model."}, 403)
