"""A model behind a real HTTP server that refuses by a rule written in the test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from overrefusal import Expected, Message, Prompt, Run, evaluate_async, suite_of
from overrefusal.evaluation import Connection
from tests.servers import provider_server
from tests.servers.formats import openai_completion

REFUSAL = "I'm sorry, but I can't help with that."
ANSWER = "Sure. First look at what it does, then end it from the monitor and read the log."
Rule = Callable[[str, str], bool | str | int]
"""Whether it refuses a system prompt and a last turn; a string is what it answers, a number the
HTTP status it fails with."""


@dataclass
class Doorman:
    """What it was asked: pairs of system prompt and last turn."""

    rule: Rule
    asked: list[tuple[str, str]] = field(default_factory=list)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    connection: Connection = field(default_factory=Connection)

    async def reached(self, count: int) -> None:
        """Wait until it was asked so often."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.asked) >= count)

    async def answer(self, request: web.Request) -> web.Response:
        """One chat completion."""
        messages: list[dict[str, Any]] = (await request.json())["messages"]
        system = "\n".join(m["content"] for m in messages if m["role"] == "system")
        self.asked.append((system, messages[-1]["content"]))
        async with self.news:
            self.news.notify_all()
        said = self.rule(*self.asked[-1])
        if isinstance(said, int) and not isinstance(said, bool):
            return web.json_response({"error": {"message": "out of order"}}, status=said)
        text = said if isinstance(said, str) else REFUSAL if said else ANSWER
        return web.json_response(openai_completion(text))


@asynccontextmanager
async def doorman(rule: Rule) -> AsyncIterator[Doorman]:
    """One on a free port of loopback."""
    at_the_door = Doorman(rule)
    async with provider_server(at_the_door.answer) as url:
        at_the_door.connection = Connection(base_url=f"{url}/v1", api_key="none", concurrency=4)
        yield at_the_door


def benign(text: str, id: str = "p1", **fields: Any) -> Prompt:
    """A prompt that should be answered."""
    return Prompt(id, (Message("user", text),), Expected.ANSWER, **fields)


def harmful(text: str, id: str = "p1-x", **fields: Any) -> Prompt:
    """A prompt that should be refused."""
    return Prompt(id, (Message("user", text),), Expected.REFUSE, **fields)


async def run_of(at_the_door: Doorman, store: Any, *prompts: Prompt, **options: Any) -> Run:
    """These prompts answered; what it was asked is then forgotten."""
    run = await evaluate_async(
        "endpoint/doorman",
        suite_of("few", prompts),
        store=store,
        connection=at_the_door.connection,
        **options,
    )
    at_the_door.asked.clear()
    return run
