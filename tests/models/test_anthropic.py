"""Anthropic's Messages interface, asked over a real connection."""

from typing import Any

import pytest
from aiohttp import web

from overrefusal.errors import OverrefusalError
from overrefusal.models.registry import open_model
from overrefusal.records import Actor, Message, Request, Sampling
from tests.models.asking import KEY, ask
from tests.servers import provider_server
from tests.servers.formats import anthropic_error, anthropic_message

SPEC = "anthropic/claude-haiku-4-5"


async def test_answer_with_thinking_and_cost() -> None:
    payload = anthropic_message()
    payload["content"] = [
        {"type": "thinking", "thinking": "Is it safe?", "signature": "abc"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "Yes, "},
        {"type": "text", "text": "it is."},
    ]
    r = await ask(SPEC, payload)
    assert (r.text, r.thinking, r.actor) == ("Yes, it is.", "Is it safe?", None)
    assert (r.finish_reason, r.raw) == ("end_turn", payload)
    assert r.cost_usd == pytest.approx((12 * 1.0 + 34 * 5.0) / 1e6)


async def test_refusal_with_empty_content_and_category() -> None:
    details = {"type": "refusal", "category": "bio", "explanation": None}
    r = await ask(SPEC, anthropic_message(None, "refusal", stop_details=details))
    assert (r.actor, r.categories, r.text) == (Actor.MODEL_API, ("bio",), "")
    assert (r.finish_reason, r.error) == ("refusal", None)


async def test_refusal_without_details() -> None:
    r = await ask(SPEC, anthropic_message(None, "refusal"))
    assert (r.actor, r.categories, r.error) == (Actor.MODEL_API, (), None)


async def test_refusal_keeps_what_was_said_before_it_or_its_explanation() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "This was declined."}
    r = await ask(SPEC, anthropic_message("The first step", "refusal", stop_details=details))
    assert (r.actor, r.text) == (Actor.MODEL_API, "The first step")
    r = await ask(SPEC, anthropic_message(None, "refusal", stop_details=details))
    assert r.text == "This was declined."


async def test_output_filter() -> None:
    payload = anthropic_error("invalid_request_error", "Output blocked by content filtering policy")
    r = await ask(SPEC, payload, 400)
    assert (r.actor, r.error, r.text, r.raw) == (Actor.FILTER_OUTPUT, None, "", payload)


@pytest.mark.parametrize("stop", ["max_tokens", "model_context_window_exceeded"])
async def test_truncated(stop: str) -> None:
    assert (await ask(SPEC, anthropic_message("An unfin", stop))).truncated


async def test_other_errors() -> None:
    r = await ask(SPEC, anthropic_error("invalid_request_error", "messages: too long"), 400)
    assert r.error == "HTTP 400: messages: too long"
    said = "Your credit balance is too low to access the Anthropic API."
    with pytest.raises(OverrefusalError, match="credit"):
        await ask(SPEC, anthropic_error("invalid_request_error", said), 400)


async def test_what_is_sent() -> None:
    seen: list[Any] = []

    async def handler(http: web.Request) -> web.Response:
        seen.append((http.path, http.headers, await http.json()))
        return web.json_response(anthropic_message())

    messages = (
        Message("system", "Operator."),
        Message("system", "Prompt."),
        Message("user", "Hello?"),
        Message("assistant", "Yes?"),
        Message("user", "How?"),
    )
    async with provider_server(handler) as url:
        model = open_model(SPEC, base_url=url, api_key=KEY)
        await model.answer(Request("p1", messages, Sampling(0.0, None, 0.9, 7)))
        await model.close()
    path, headers, body = seen[0]
    assert path == "/v1/messages"
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert body == {
        "model": "claude-haiku-4-5",
        "max_tokens": 4096,
        "system": "Operator.\n\nPrompt.",
        "temperature": 0.0,
        "top_p": 0.9,
        "messages": [
            {"role": "user", "content": "Hello?"},
            {"role": "assistant", "content": "Yes?"},
            {"role": "user", "content": "How?"},
        ],
    }


async def test_a_setting_that_the_model_does_not_take() -> None:
    said = "`temperature` may only be set to 1 with this model."
    with pytest.raises(OverrefusalError, match="leave it unset"):
        await ask(SPEC, anthropic_error("invalid_request_error", said), 400)
