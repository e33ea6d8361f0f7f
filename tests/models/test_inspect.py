"""Inspect's providers as models: its mock, and its OpenAI client against a server on loopback."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from overrefusal.errors import OverrefusalError
from overrefusal.models.inspect import InspectModel
from overrefusal.records import Actor, Message, Request, Sampling

HI = Request("p", (Message("user", "Hi"),))


def test_without_inspect_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.model", None)
    with pytest.raises(OverrefusalError, match=r"pip install 'overrefusal\[inspect\]'"):
        InspectModel("inspect/mockllm/model")


def test_a_provider_without_a_model_is_named() -> None:
    with pytest.raises(OverrefusalError, match="inspect/PROVIDER/NAME"):
        InspectModel("inspect/openai")


class Server:
    """Speaks the OpenAI protocol and gives what is next in ``replies``."""

    def __init__(self) -> None:
        self.replies: list[tuple[int, dict[str, Any]]] = []
        self.asked: list[dict[str, Any]] = []
        self.base_url = ""

    async def chat(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        status, body = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return web.json_response(body, status=status)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    pytest.importorskip("inspect_ai", reason="Inspect is not installed: pip install inspect-ai")
    pytest.importorskip("openai", reason="Inspect's client is not installed: pip install openai")
    served = Server()
    app = web.Application()
    app.router.add_post("/v1/chat/completions", served.chat)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    yield served
    await runner.cleanup()


def completion(message: dict[str, Any], finish: str = "stop", **choice: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "tiny-1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
            | choice
        ],
        "usage": {"prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11},
    }


def open_local(server: Server, **options: Any) -> InspectModel:
    return InspectModel(
        "inspect/openai-api/local/tiny", base_url=server.base_url, api_key="k", **options
    )


async def test_question_and_answer_arrive_whole(server: Server) -> None:
    server.replies = [(200, completion({"content": "<think>Well.</think>Hello."}, "length"))]
    model = open_local(server)
    turns = tuple(Message(r, r) for r in ("system", "user", "assistant", "user"))
    sampling = Sampling(temperature=0.5, max_tokens=9, top_p=0.9, seed=3)
    response = await model.answer(Request("p", turns, sampling, sample=2))
    asked = server.asked[0]
    assert [m["role"] for m in asked["messages"]] == ["system", "user", "assistant", "user"]
    assert (asked["temperature"], asked["max_tokens"], asked["top_p"], asked["seed"]) == (
        *(0.5, 9),
        *(0.9, 5),
    )
    assert (response.text, response.thinking) == ("Hello.", "Well.")
    assert (response.truncated, response.finish_reason) == (True, "max_tokens")
    assert (response.input_tokens, response.output_tokens) == (7, 4)
    assert response.model_reported == "tiny-1"
    assert model.identity == f"inspect/openai-api/local/tiny@{server.base_url}"
    await model.close()


async def test_what_is_not_set_is_not_sent(server: Server) -> None:
    server.replies = [(200, completion({"content": "Hello."}))]
    model = open_local(server)
    await model.answer(HI)
    assert not {"temperature", "top_p", "seed"} & server.asked[0].keys()
    await model.close()


async def test_refusals_and_filters_are_told_apart(server: Server) -> None:
    blocked = {"violence": {"filtered": True, "severity": "high"}, "hate": {"filtered": False}}
    server.replies = [
        (200, completion({"content": None, "refusal": "I can't help."})),
        (200, completion({"content": ""}, "content_filter", content_filter_results=blocked)),
        (400, {"error": {"message": "flagged", "code": "content_filter", "type": None}}),
        (200, completion({"content": "I can't help."})),
    ]
    model = open_local(server)
    said = [await model.answer(HI) for _ in server.replies[:]]
    assert [r.actor for r in said] == [
        Actor.MODEL_API,
        Actor.FILTER_OUTPUT,
        Actor.FILTER_INPUT,
        None,
    ]
    assert [r.text for r in said] == ["I can't help.", "", "", "I can't help."]
    assert said[1].categories == ("violence",)
    assert all(r.error is None for r in said)
    assert len(server.asked) == 4
    await model.close()


async def test_retries_are_bounded(server: Server) -> None:
    server.replies = [(500, {"error": {"message": "overloaded"}})]
    model = open_local(server, max_attempts=1)
    response = await asyncio.wait_for(model.answer(HI), 60)
    assert response.error is not None
    assert "overloaded" in response.error
    assert 1 <= len(server.asked) <= 10
    await model.close()


@pytest.mark.parametrize(("status", "said"), [(401, "key"), (404, "model")])
async def test_a_wrong_key_or_name_ends_the_run(server: Server, status: int, said: str) -> None:
    server.replies = [(status, {"error": {"message": "no"}})]
    model = open_local(server)
    with pytest.raises(OverrefusalError, match=said):
        await model.answer(HI)
    await model.close()


def test_an_unknown_provider_is_named() -> None:
    pytest.importorskip("inspect_ai", reason="Inspect is not installed: pip install inspect-ai")
    with pytest.raises(OverrefusalError, match="nobody"):
        InspectModel("inspect/nobody/model")


async def test_inspects_mock_answers() -> None:
    pytest.importorskip("inspect_ai", reason="Inspect is not installed: pip install inspect-ai")
    from inspect_ai.model import ModelOutput, ModelUsage

    said = ModelOutput.from_content("mockllm", "Hello.")
    said.usage = ModelUsage(input_tokens=2, output_tokens=1)
    model = InspectModel("inspect/mockllm/model", custom_outputs=[said])
    response = await model.answer(HI)
    assert (response.text, response.output_tokens, response.error) == ("Hello.", 1, None)
    exhausted = await model.answer(HI)
    assert exhausted.error is not None
    await model.close()
