"""Short ways to ask a model in a test."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from overrefusal.models.http import HttpModel, Limits
from overrefusal.models.registry import open_model
from overrefusal.models.wire import Wire
from overrefusal.records import Message, Request, Response, Sampling
from tests.servers import Handler, provider_server

KEY = "sk-test-0123456789"
QUICK = Limits(backoff_s=0.01, backoff_cap_s=0.02, max_attempts=4, timeout_s=10)


def request(text: str = "Hello?", *, id: str = "p1", sample: int = 0, **sampling: Any) -> Request:
    """One user turn; keywords are sampling."""
    return Request(id, (Message("user", text),), Sampling(**sampling), sample)


def replying(payload: Any, status: int = 200) -> Handler:
    """Answers everything with one JSON payload."""

    async def handler(_: web.Request) -> web.Response:
        return web.json_response(payload, status=status)

    return handler


async def ask(
    spec: str, payload: Any, status: int = 200, base: str = "", **sampling: Any
) -> Response:
    """The response of ``spec`` to one question, from a server that replies with ``payload``."""
    async with provider_server(replying(payload, status)) as url:
        model = open_model(spec, base_url=url + base, api_key=KEY)
        try:
            return await model.answer(request(**sampling))
        finally:
            await model.close()


async def ask_wire(wire: Wire, **options: Any) -> Response:
    """The response of a wire to one question, with short waits."""
    model = HttpModel(wire, **{"limits": QUICK, **options})
    try:
        return await model.answer(request())
    finally:
        await model.close()
