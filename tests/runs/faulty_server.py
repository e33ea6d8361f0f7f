"""A server of the OpenAI protocol that fails on a share of requests, as a process of its own.

Prints its port, then serves until it is ended. The answer to a prompt is a function of the prompt
alone, so that a test can tell an answer from an invention.
"""

import asyncio
import json
import random
import sys

FAULTS = ("429", "500", "timeout", "cut", "malformed")


def reply_to(prompt: str) -> str:
    """What the server answers; every fifth answer is a refusal."""
    if sum(prompt.encode()) % 5 == 0:
        return f"I'm sorry, but I can't help with that. ({prompt})"
    return f"Here is what you asked for: {prompt}. First, take your time. Then, go step by step."


def body_of(prompt: str) -> bytes:
    return json.dumps(
        {
            "id": "r",
            "model": "faulty-1",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": reply_to(prompt)},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 5, "completion_tokens": 20},
        }
    ).encode()


def response(status: str, body: bytes, extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return (head + extra + "\r\n").encode() + body


async def serve(share: float, latency: float, seed: int) -> None:
    dice = random.Random(seed)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                )
                request = json.loads(await reader.readexactly(length))
                prompt = request["messages"][-1]["content"]
                await asyncio.sleep(latency)
                body = body_of(prompt)
                fault = dice.choice(FAULTS) if dice.random() < share else None
                if fault == "429":
                    writer.write(response("429 Too Many Requests", b"{}", "Retry-After: 0.05\r\n"))
                elif fault == "500":
                    writer.write(response("500 Internal Server Error", b"<html>oh</html>"))
                elif fault == "timeout":
                    await asyncio.sleep(3)
                    return
                elif fault == "cut":
                    writer.write(response("200 OK", body)[: -len(body) // 2])
                    await writer.drain()
                    return
                elif fault == "malformed":
                    writer.write(response("200 OK", b'{"choices": ['))
                else:
                    writer.write(response("200 OK", body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
