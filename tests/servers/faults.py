"""A handler that fails now and then, in every way that servers fail."""

from __future__ import annotations

import asyncio
import random

from aiohttp import web

from tests.servers import Handler

FAULTS = ("429", "500", "timeout", "cut", "html", "truncated", "no_choices")


def faulty(handler: Handler, rate: float, seed: int, *, hang_s: float = 5.0) -> Handler:
    """``handler``, but a share ``rate`` of requests meets one of ``FAULTS``, drawn by ``seed``."""
    rng = random.Random(seed)

    async def serve(request: web.Request) -> web.StreamResponse:
        if rng.random() < rate:
            return await misbehave(request, rng.choice(FAULTS), hang_s)
        return await handler(request)

    return serve


async def misbehave(request: web.Request, fault: str, hang_s: float = 5.0) -> web.StreamResponse:
    """One of ``FAULTS``."""
    await request.read()
    if fault == "429":
        return web.json_response(
            {"error": {"message": "Rate limit reached", "type": "tokens"}},
            status=429,
            headers={"Retry-After": "0"},
        )
    if fault == "500":
        return web.Response(status=500, text="Internal Server Error")
    if fault == "timeout":
        await asyncio.sleep(hang_s)
        return web.Response(status=504)
    if fault == "cut":
        reply = web.StreamResponse(headers={"Content-Length": "5000"})
        await reply.prepare(request)
        await reply.write(b'{"id": "chatcmpl-1", "choices": [{"index": 0, "message": {"content": "')
        assert request.transport is not None
        request.transport.abort()
        return reply
    if fault == "html":
        return web.Response(text="<html><body>Bad gateway</body></html>", content_type="text/html")
    if fault == "truncated":
        return web.Response(
            body=b'{"choices": [{"message": {"content": "An ans', content_type="application/json"
        )
    assert fault == "no_choices"
    return web.json_response({"id": "chatcmpl-1", "object": "chat.completion", "choices": []})
