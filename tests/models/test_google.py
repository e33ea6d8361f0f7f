"""Gemini's ``generateContent``, asked over a real connection."""

from typing import Any

import pytest
from aiohttp import web

from overrefusal.errors import OverrefusalError
from overrefusal.models.registry import open_model
from overrefusal.records import Actor, Message, Request, Sampling
from tests.models.asking import KEY, ask
from tests.servers import provider_server
from tests.servers.formats import gemini_answer, gemini_rating

SPEC = "google/gemini-2.5-flash"
DANGEROUS = "HARM_CATEGORY_DANGEROUS_CONTENT"
HATE = "HARM_CATEGORY_HATE_SPEECH"


async def test_answer_with_thoughts() -> None:
    payload = gemini_answer()
    payload["candidates"][0]["content"]["parts"] = [
        {"text": "Is it safe?", "thought": True},
        {"text": "Yes, "},
        {"text": "it is."},
    ]
    payload["usageMetadata"]["thoughtsTokenCount"] = 100
    r = await ask(SPEC, payload)
    assert (r.text, r.thinking, r.actor) == ("Yes, it is.", "Is it safe?", None)
    assert (r.input_tokens, r.output_tokens) == (12, 134)
    assert (r.model_reported, r.finish_reason) == ("gemini-2.5-flash", "STOP")


async def test_blocked_prompt() -> None:
    payload = {
        "promptFeedback": {
            "blockReason": "SAFETY",
            "safetyRatings": [gemini_rating(HATE), gemini_rating(DANGEROUS, blocked=True)],
        },
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9},
        "modelVersion": "gemini-2.5-flash",
    }
    r = await ask(SPEC, payload)
    assert (r.actor, r.categories, r.finish_reason) == (
        Actor.FILTER_INPUT,
        (DANGEROUS,),
        "SAFETY",
    )
    assert (r.text, r.error, r.attempts, r.raw) == ("", None, 1, payload)


async def test_blocked_prompt_without_ratings() -> None:
    r = await ask(SPEC, {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
    assert (r.actor, r.categories) == (Actor.FILTER_INPUT, ("PROHIBITED_CONTENT",))


@pytest.mark.parametrize(
    "reason", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII"]
)
async def test_output_filter(reason: str) -> None:
    r = await ask(SPEC, gemini_answer(None, reason))
    assert (r.actor, r.categories, r.finish_reason) == (Actor.FILTER_OUTPUT, (reason,), reason)
    assert r.error is None


async def test_output_filter_names_categories_and_keeps_text() -> None:
    ratings = [gemini_rating(HATE), gemini_rating(DANGEROUS, probability="HIGH")]
    r = await ask(SPEC, gemini_answer("The first step", "SAFETY", safetyRatings=ratings))
    assert (r.actor, r.categories) == (Actor.FILTER_OUTPUT, (DANGEROUS,))
    assert r.text == "The first step"


async def test_ratings_of_an_answer_are_no_filter() -> None:
    ratings = [gemini_rating(DANGEROUS, probability="HIGH")]
    r = await ask(SPEC, gemini_answer("Here you are.", safetyRatings=ratings))
    assert (r.actor, r.categories) == (None, ())


async def test_truncated_and_no_candidates() -> None:
    assert (await ask(SPEC, gemini_answer("An unfin", "MAX_TOKENS"))).truncated


async def test_wrong_key_is_a_bad_request_here() -> None:
    error = {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}
    with pytest.raises(OverrefusalError, match="GEMINI_API_KEY"):
        await ask(SPEC, {"error": error}, 400)


async def test_what_is_sent() -> None:
    seen: list[Any] = []

    async def handler(http: web.Request) -> web.Response:
        seen.append((http.path, http.headers, await http.json()))
        return web.json_response(gemini_answer())

    messages = (
        Message("system", "Be kind."),
        Message("user", "Hello?"),
        Message("assistant", "Yes?"),
        Message("user", "How?"),
    )
    async with provider_server(handler) as url:
        model = open_model(SPEC, base_url=url + "/v1beta", api_key=KEY)
        await model.answer(Request("p1", messages, Sampling(0.0, 64, None, 7), sample=1))
        await model.close()
    path, headers, body = seen[0]
    assert path == "/v1beta/models/gemini-2.5-flash:generateContent"
    assert headers["x-goog-api-key"] == KEY
    assert body == {
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "Hello?"}]},
            {"role": "model", "parts": [{"text": "Yes?"}]},
            {"role": "user", "parts": [{"text": "How?"}]},
        ],
        "generationConfig": {"temperature": 0.0, "maxOutputTokens": 64, "seed": 8},
    }
