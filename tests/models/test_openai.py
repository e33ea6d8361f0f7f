"""What the OpenAI protocol says, asked over a real connection."""

from typing import Any

import pytest
from aiohttp import web

from overrefusal.errors import OverrefusalError
from overrefusal.models.registry import open_model
from overrefusal.records import Actor, Message, Request, Sampling
from tests.models.asking import KEY, ask, request
from tests.servers import provider_server
from tests.servers.formats import (
    azure_filter,
    azure_input_block,
    openai_completion,
    openai_error,
)


async def test_answer_with_usage_and_cost() -> None:
    payload = openai_completion("Use kill -9.")
    r = await ask("openai/gpt-4o-mini", payload)
    assert (r.text, r.finish_reason, r.actor, r.error) == ("Use kill -9.", "stop", None, None)
    assert (r.input_tokens, r.output_tokens) == (12, 34)
    assert r.cost_usd == pytest.approx((12 * 0.15 + 34 * 0.60) / 1e6)
    assert r.model_reported == "gpt-4o-mini-2024-07-18"
    assert r.raw == payload
    assert r.attempts == 1
    assert r.latency_s is not None
    assert 0 < r.latency_s < 10
    assert not r.truncated


async def test_refusal_field_with_stop_and_no_content() -> None:
    r = await ask("openai/m", openai_completion(None, refusal="I'm sorry, I can't help with that."))
    assert r.actor is Actor.MODEL_API
    assert r.text == "I'm sorry, I can't help with that."
    assert r.finish_reason == "stop"


async def test_content_filter_keeps_the_partial_text() -> None:
    r = await ask("openai/m", openai_completion("First you take", "content_filter"))
    assert (r.actor, r.text) == (Actor.FILTER_OUTPUT, "First you take")
    assert r.finish_reason == "content_filter"


@pytest.mark.parametrize("code", ["invalid_prompt", "content_policy_violation", "cyber_policy"])
async def test_filter_codes_are_answers(code: str) -> None:
    payload = openai_error("This request was flagged.", code=code)
    r = await ask("openai/m", payload, 400)
    assert (r.actor, r.categories, r.error) == (Actor.FILTER_INPUT, (code,), None)
    assert (r.attempts, r.raw) == (1, payload)


async def test_length_is_truncated() -> None:
    r = await ask("openai/m", openai_completion("An unfin", "length"))
    assert r.truncated
    assert (r.text, r.actor) == ("An unfin", None)


@pytest.mark.parametrize("content", ["", None])
async def test_empty_content_is_an_empty_answer(content: str | None) -> None:
    r = await ask("openai/m", openai_completion(content))
    assert (r.text, r.error, r.actor, r.attempts) == ("", None, None, 1)


async def test_azure_input_block_names_categories() -> None:
    payload = azure_input_block(hate=False, violence=True, jailbreak=True, self_harm=False)
    r = await ask("azure/deployment", payload, 400)
    assert (r.actor, r.categories) == (Actor.FILTER_INPUT, ("jailbreak", "violence"))
    assert (r.finish_reason, r.error, r.raw) == ("content_filter", None, payload)


async def test_azure_output_annotations() -> None:
    payload = openai_completion("Some of it", "content_filter")
    payload["choices"][0]["content_filter_results"] = azure_filter(violence=True, hate=False)
    payload["prompt_filter_results"] = [
        {"prompt_index": 0, "content_filter_results": azure_filter(violence=False)}
    ]
    r = await ask("azure/deployment", payload)
    assert (r.actor, r.categories) == (Actor.FILTER_OUTPUT, ("violence",))
    assert r.text == "Some of it"


async def test_azure_annotations_that_let_pass_are_no_filter() -> None:
    payload = openai_completion("Here you are.")
    payload["choices"][0]["content_filter_results"] = azure_filter(violence=False, hate=False)
    r = await ask("azure/deployment", payload)
    assert (r.actor, r.categories) == (None, ())


async def test_azure_prompt_annotation_keeps_text() -> None:
    payload = openai_completion("It answered all the same.")
    payload["prompt_filter_results"] = [
        {"prompt_index": 0, "content_filter_results": azure_filter(sexual=True)}
    ]
    r = await ask("azure/deployment", payload)
    assert (r.actor, r.categories) == (Actor.FILTER_INPUT, ("sexual",))
    assert r.text == "It answered all the same."


async def test_azure_prompt_block_without_choices() -> None:
    annotation = {"prompt_index": 0, "content_filter_results": azure_filter(hate=True)}
    payload = {**openai_completion(), "choices": [], "prompt_filter_results": [annotation]}
    r = await ask("azure/deployment", payload)
    assert (r.actor, r.categories, r.attempts) == (Actor.FILTER_INPUT, ("hate",), 1)


@pytest.mark.parametrize(
    ("status", "payload", "actor", "categories"),
    [
        (
            403,
            {
                "error": {
                    "code": 403,
                    "message": "m requires moderation. Your input was flagged",
                    "metadata": {"reasons": ["violence"], "flagged_input": "..."},
                }
            },
            Actor.FILTER_INPUT,
            ("violence",),
        ),
        (
            403,
            {
                "code": "The caller does not have permission",
                "error": "Content violates usage guidelines. Model: m, Failed check: "
                "SAFETY_CHECK_TYPE_BIO",
            },
            Actor.FILTER_INPUT,
            ("SAFETY_CHECK_TYPE_BIO",),
        ),
        (
            400,
            openai_error(
                "Output data may contain inappropriate content.", code="data_inspection_failed"
            ),
            Actor.FILTER_OUTPUT,
            (),
        ),
        (400, openai_error("Content Exists Risk"), Actor.FILTER_INPUT, ()),
    ],
)
async def test_filters_of_gateways(
    status: int, payload: Any, actor: Actor, categories: tuple[str, ...]
) -> None:
    r = await ask("endpoint/m", payload, status)
    assert (r.actor, r.categories, r.error) == (actor, categories, None)


async def test_other_bad_requests_are_errors_and_not_retried() -> None:
    r = await ask("openai/m", openai_error("The prompt is too long."), 400)
    assert r.error == "HTTP 400: The prompt is too long."
    assert (r.attempts, r.actor, r.text) == (1, None, "")


async def test_thinking_in_text_in_a_field_and_in_parts() -> None:
    r = await ask("endpoint/m", openai_completion("<think>Is it safe?</think>\n\nYes."))
    assert (r.text, r.thinking) == ("Yes.", "Is it safe?")
    r = await ask("endpoint/m", openai_completion("Yes.", reasoning_content="Is it safe?"))
    assert (r.text, r.thinking) == ("Yes.", "Is it safe?")
    parts: Any = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Is it safe?"}]},
        {"type": "text", "text": "Yes."},
    ]
    r = await ask("endpoint/m", openai_completion(parts))
    assert (r.text, r.thinking) == ("Yes.", "Is it safe?")


async def test_what_is_sent() -> None:
    seen: list[Any] = []

    async def handler(http: web.Request) -> web.Response:
        seen.append((http.path_qs, http.headers, await http.json()))
        return web.json_response(openai_completion())

    messages = (Message("system", "Be kind."), Message("user", "Hello?"))
    asked = Request("p1", messages, Sampling(0.5, 64, 0.9, 7), sample=2)
    async with provider_server(handler) as url:
        for spec, base in (("openai/gpt-x", "/v1"), ("endpoint/m", "/v1/"), ("azure/dep", "")):
            model = open_model(spec, base_url=url + base, api_key=KEY)
            await model.answer(asked)
            await model.close()
    expected = {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello?"},
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 9,
    }
    (path, headers, body), endpoint, azure = seen
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == f"Bearer {KEY}"
    assert body == {**expected, "model": "gpt-x", "max_completion_tokens": 64}
    assert endpoint[0] == "/v1/chat/completions"
    assert endpoint[2] == {**expected, "model": "m", "max_tokens": 64}
    assert azure[0].startswith("/openai/deployments/dep/chat/completions?api-version=20")
    assert azure[1]["api-key"] == KEY
    assert azure[2]["max_completion_tokens"] == 64


async def test_unset_sampling_is_left_to_the_provider() -> None:
    async def handler(http: web.Request) -> web.Response:
        assert set(await http.json()) == {"model", "messages"}
        return web.json_response(openai_completion("as it likes"))

    async with provider_server(handler) as url:
        model = open_model("endpoint/m", base_url=url)
        assert (await model.answer(request())).text == "as it likes"
        await model.close()


@pytest.mark.parametrize(
    ("status", "code", "match"),
    [
        (429, "insufficient_quota", "no credit"),
        (400, "invalid_api_key", "key is not accepted"),
        (400, "model_not_found", "no such model .*'m'"),
        (400, "unsupported_value", "leave it unset: The provider's words"),
    ],
)
async def test_what_no_repetition_mends_ends_the_run(status: int, code: str, match: str) -> None:
    with pytest.raises(OverrefusalError, match=match):
        await ask("openai/m", openai_error("The provider's words", code=code), status)


async def test_refusals_through_gateways() -> None:
    aside = {"refusal": "I can't help with that."}
    r = await ask("endpoint/m", openai_completion(None, provider_specific_fields=aside))
    assert (r.actor, r.text) == (Actor.MODEL_API, "I can't help with that.")
    payload = openai_completion("", "content_filter")
    payload["choices"][0]["native_finish_reason"] = "refusal"
    r = await ask("endpoint/m", payload)
    assert (r.actor, r.finish_reason) == (Actor.MODEL_API, "content_filter")
    payload["choices"][0]["native_finish_reason"] = "SAFETY"
    assert (await ask("endpoint/m", payload)).actor is Actor.FILTER_OUTPUT


async def test_openai_key_is_never_sent_to_another_endpoint(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-of-openai")
    monkeypatch.delenv("ENDPOINT_API_KEY", raising=False)

    async def handler(http: web.Request) -> web.Response:
        assert "sk-secret-of-openai" not in str(http.headers)
        return web.json_response(openai_completion("fine"))

    async with provider_server(handler) as url:
        model = open_model("endpoint/m", base_url=url)
        assert (await model.answer(request())).text == "fine"
        await model.close()
