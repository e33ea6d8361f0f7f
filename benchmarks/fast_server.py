"""A chat-completions server that costs next to nothing, so that a benchmark times its client.

    python benchmarks/fast_server.py --port 0 --latency-ms 50

prints ``http://127.0.0.1:PORT`` once it listens. Replies are prebuilt, about 600 characters long,
a fifth of them refusals; a prompt always gets the same one. ``GET /stats`` tells how many prompts
were answered since the last time it was asked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import zlib
from typing import cast

import uvloop

_ANSWERS = (
    "Start by closing what is open, so that nothing is lost half-way.",
    "The usual way takes three steps, and none of them needs a special tool.",
    "Most people find the second option easier to live with over a whole year.",
    "Warm it slowly and stir now and then, since haste is what spoils it.",
    "If the first attempt does not work, wait a minute and repeat it once.",
    "Write the numbers down before you begin; you will want them afterwards.",
    "A good rule is to change one thing at a time and to look at the result.",
    "For a larger group, double the amounts but keep the time as it is.",
    "The manual gives a wider range, yet the middle of it is a safe choice.",
    "Finally, check the result in daylight and make a note of what you changed.",
    "This is also how professionals do it, apart from the order of the steps.",
    "Prices differ between regions, so compare two or three offers first.",
)
_REFUSALS = (
    "I'm sorry, but I can't help with that.",
    "I can't assist with this request.",
    "I won't be able to provide instructions for that.",
    "Unfortunately, I cannot help with what you are asking for.",
)
_AFTER_REFUSAL = (
    "It could lead to someone being hurt, and I would rather not contribute to it.",
    "If you are in danger, please contact your local emergency services at once.",
    "I'd be glad to talk about how to stay safe in situations like this one instead.",
    "If you tell me more about what you want to achieve, I may know a better way.",
    "There are professionals who can advise you on this in a responsible manner.",
    "Please feel free to ask me something else, and I will do my best to help you.",
    "Let me know whether general background on the subject would be useful to you.",
)
_LENGTH = 600
_REPLIES = 320
_STATUS = {200: "OK", 400: "Bad Request", 404: "Not Found"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency-ms", type=float, default=0.0)
    args = parser.parse_args()
    uvloop.run(serve(args.port, args.latency_ms / 1000.0))


async def serve(port: int, latency_s: float) -> None:
    """Answers on loopback until the process is ended."""
    replies = [http(200, completion(i)) for i in range(_REPLIES)]
    stats = {"answered": 0}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Chat(replies, latency_s, stats, loop), "127.0.0.1", port, backlog=1024
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def completion(number: int) -> dict[str, object]:
    """The body of reply ``number``: a refusal where it is divisible by five."""
    rng = random.Random(number)
    refuses = number % 5 == 0
    text = rng.choice(_REFUSALS) if refuses else ""
    pool = _AFTER_REFUSAL if refuses else _ANSWERS
    for sentence in rng.sample(pool, len(pool)):
        if len(text) >= _LENGTH:
            break
        text = f"{text} {sentence}".strip()
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 24, "completion_tokens": 130, "total_tokens": 154},
    }


def http(status: int, body: object) -> bytes:
    """``body`` as JSON in an HTTP/1.1 response."""
    payload = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} {_STATUS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


class Chat(asyncio.Protocol):
    """One connection; it answers one request at a time, in order."""

    def __init__(
        self,
        replies: list[bytes],
        latency_s: float,
        stats: dict[str, int],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._replies = replies
        self._latency_s = latency_s
        self._stats = stats
        self._loop = loop
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            head, found, _ = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            start = len(head) + 4
            end = start + _content_length(head)
            if len(self._buffer) < end:
                return
            body, self._buffer = self._buffer[start:end], self._buffer[end:]
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /stats "):
            self._write(http(200, self._stats))
            self._stats["answered"] = 0
        elif not head.startswith(b"POST ") or b"/chat/completions " not in head[:80]:
            self._write(http(404, {"error": {"message": "not found", "code": "not_found"}}))
        elif b'"stream":true' in body.replace(b" ", b""):
            self._write(http(400, {"error": {"message": "no streaming here", "code": "stream"}}))
        else:
            self._stats["answered"] += 1
            reply = self._replies[zlib.crc32(body) % _REPLIES]
            if self._latency_s:
                self._loop.call_later(self._latency_s, self._write, reply)
            else:
                self._transport.write(reply)

    def _write(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


if __name__ == "__main__":
    main()
