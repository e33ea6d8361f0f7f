"""What the shared client does when a server misbehaves."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import formatdate
from typing import Any

import pytest
from aiohttp import web

from overrefusal.errors import OverrefusalError
from overrefusal.models.http import HttpModel, Limits, retry_after
from overrefusal.models.openai import endpoint_wire, openai_wire
from overrefusal.models.registry import open_model
from tests.models.asking import KEY, QUICK, ask, ask_wire, replying, request
from tests.servers import Handler, provider_server, raw_server
from tests.servers.faults import FAULTS, faulty, misbehave
from tests.servers.formats import (
    anthropic_error,
    anthropic_message,
    converse_answer,
    gemini_answer,
    openai_completion,
    openai_error,
)


def _first_fails(fault: str, times: int) -> tuple[Handler, list[float]]:
    """A handler whose first ``times`` requests meet ``fault``; and when requests came."""
    came: list[float] = []

    async def handler(http: web.Request) -> web.StreamResponse:
        came.append(time.monotonic())
        if len(came) <= times:
            return await misbehave(http, fault)
        return web.json_response(openai_completion("at last"))

    return handler, came


class _Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.mark.parametrize("fault", FAULTS)
async def test_faults_are_retried_until_an_answer_comes(fault: str) -> None:
    handler, came = _first_fails(fault, 2)
    async with provider_server(handler) as url:
        limits = replace(QUICK, timeout_s=0.2 if fault == "timeout" else 10)
        r = await ask_wire(endpoint_wire("m", url), limits=limits)
    assert (r.text, r.error, r.attempts, len(came)) == ("at last", None, 3, 3)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("429", "HTTP 429: Rate limit reached"),
        ("500", "HTTP 500: Internal Server Error"),
        ("timeout", "no complete reply within 0.2 s"),
        ("cut", "the connection broke"),
        ("html", "the reply is no answer (not JSON: '<html>"),
        ("truncated", "the reply is no answer (not JSON: "),
        ("no_choices", "the reply is no answer (no choices)"),
    ],
)
async def test_faults_without_end_become_an_error(fault: str, said: str) -> None:
    handler, came = _first_fails(fault, 1000)
    async with provider_server(handler) as url:
        limits = replace(QUICK, timeout_s=0.2 if fault == "timeout" else 10)
        r = await ask_wire(endpoint_wire("m", url), limits=limits)
    assert r.error is not None
    assert r.error.startswith(said)
    assert r.error.endswith("(gave up after 4 attempts)")
    assert (r.text, r.attempts, len(came)) == ("", 4, 4)


@pytest.mark.parametrize("status", [200, 400])
async def test_answers_and_filters_are_asked_once(status: int) -> None:
    asked = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        refused = openai_completion(None, refusal="No.")
        blocked = openai_error("flagged", code="invalid_prompt")
        return web.json_response(refused if status == 200 else blocked, status=status)

    async with provider_server(handler) as url:
        r = await ask_wire(endpoint_wire("m", url))
    assert r.actor is not None
    assert asked == 1


async def test_429_for_a_minute_is_waited_out() -> None:
    """The server names the seconds left; the client's clock runs only while it sleeps."""
    clock = _Clock()
    opens = clock.now + 60.0

    async def handler(_: web.Request) -> web.Response:
        if clock.now < opens:
            return web.json_response(
                openai_error("slow down"), status=429, headers={"Retry-After": "20"}
            )
        return web.json_response(openai_completion("at last"))

    async with provider_server(handler) as url:
        wire = endpoint_wire("m", url)
        r = await ask_wire(wire, limits=Limits(), sleep=clock.sleep, clock=clock)
    assert (r.text, r.attempts) == ("at last", 4)
    assert 60.0 <= clock.now - 1000.0 <= 66.0


async def test_429_for_a_minute_without_retry_after() -> None:
    clock = _Clock()

    async def handler(_: web.Request) -> web.Response:
        if clock.now < 1060.0:
            return web.json_response(openai_error("slow down"), status=429)
        return web.json_response(openai_completion("at last"))

    answered = 0
    async with provider_server(handler) as url:
        for seed in range(20):
            clock.now = 1000.0
            r = await ask_wire(
                endpoint_wire("m", url),
                limits=Limits(),
                sleep=clock.sleep,
                clock=clock,
                rng=random.Random(seed),
            )
            answered += r.error is None
    # Full jitter is a matter of luck; what fails is asked again when the run is resumed.
    assert answered >= 10


async def test_retry_after_holds_all_requests_back() -> None:
    now = 1000.0
    slept: list[float] = []
    sleeping, go_on = asyncio.Event(), asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        sleeping.set()
        await go_on.wait()

    asked = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 1:
            return web.json_response({}, status=429, headers={"Retry-After": "30"})
        return web.json_response(openai_completion())

    async with provider_server(handler) as url:
        model = HttpModel(endpoint_wire("m", url), Limits(), sleep=sleep, clock=lambda: now)
        first = asyncio.create_task(model.answer(request()))
        await asyncio.wait_for(sleeping.wait(), 10)
        sleeping.clear()
        now = 1005.0
        second = asyncio.create_task(model.answer(request()))
        await asyncio.wait_for(sleeping.wait(), 10)
        assert asked == 1
        assert 30.0 <= slept[0] <= 31.0
        assert slept[1] == 25.0
        go_on.set()
        assert (await first).error is None
        assert (await second).error is None
        await model.close()


async def test_a_retry_after_beyond_the_total_time_is_not_waited_for() -> None:
    clock = _Clock()

    async def handler(_: web.Request) -> web.Response:
        return web.json_response(
            openai_error("daily limit"), status=429, headers={"Retry-After": "86400"}
        )

    async with provider_server(handler) as url:
        wire = endpoint_wire("m", url)
        r = await ask_wire(wire, limits=Limits(), sleep=clock.sleep, clock=clock)
    assert r.error == "HTTP 429: daily limit (gave up after 1 attempt)"
    assert clock.slept == []


async def test_total_time_bounds_attempts() -> None:
    clock = _Clock()
    async with provider_server(replying({}, 500)) as url:
        limits = Limits(max_attempts=1000, max_total_s=100.0)
        r = await ask_wire(endpoint_wire("m", url), limits=limits, sleep=clock.sleep, clock=clock)
    assert r.error is not None
    assert sum(clock.slept) <= 100.0
    assert 5 < r.attempts < 40


async def test_backoff_grows_with_full_jitter() -> None:
    firsts, lasts = [], []
    async with provider_server(replying({}, 503)) as url:
        for seed in range(30):
            clock = _Clock()
            await ask_wire(
                endpoint_wire("m", url),
                limits=Limits(max_attempts=6, backoff_s=1.0, backoff_cap_s=8.0),
                sleep=clock.sleep,
                clock=clock,
                rng=random.Random(seed),
            )
            firsts.append(clock.slept[0])
            lasts.append(clock.slept[4])
    assert max(firsts) <= 1.0
    assert min(firsts) < 0.3 < 0.7 < max(firsts)
    assert 5.0 < max(lasts) <= 8.0


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after({"Retry-After": "7"}, {}) == 7.0
    assert retry_after({"Retry-After": "0.5"}, {}) == 0.5
    date = formatdate(time.time() + 30, usegmt=True)
    assert retry_after({"Retry-After": date}, {}) == pytest.approx(30, abs=2)
    assert retry_after({"Retry-After": formatdate(0, usegmt=True)}, {}) == 0.0
    assert retry_after({"retry-after-ms": "250", "Retry-After": "1"}, {}) == 0.25
    assert retry_after({"Retry-After": "soon"}, {}) is None
    assert retry_after({}, {}) is None
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}
    assert retry_after({}, {"error": {"code": 429, "details": [info]}}) == 34.0


@pytest.mark.parametrize(
    ("status", "match"),
    [
        (401, "key is not accepted .*OPENAI_API_KEY"),
        (403, "access is denied .*OPENAI_API_KEY"),
        (404, "no such model or path .*'gpt-x'"),
        (402, "payment"),
        (301, "no such model or path"),
    ],
)
async def test_what_no_repetition_mends_ends_the_run(status: int, match: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        # Some servers repeat the key that they turn down.
        return web.json_response(openai_error(f"bad key {KEY}"), status=status)

    async with provider_server(handler) as url:
        with pytest.raises(OverrefusalError, match=match) as caught:
            await ask_wire(openai_wire("gpt-x", url, KEY))
    assert KEY not in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_keys_are_never_repeated_or_stored() -> None:
    r = await ask("openai/m", openai_error(f"odd request with {KEY}"), 400)
    assert KEY not in str(r)
    assert r.error == "HTTP 400: odd request with [key]"
    r = await ask("openai/m", {"error": {"code": 400, "message": f"odd request with {KEY}"}})
    assert KEY not in str(r)
    assert r.error == "HTTP 400: odd request with [key]"
    model = open_model("openai/m", api_key=KEY, base_url="http://user:pass@127.0.0.1:9/v1")
    assert KEY not in model.identity
    assert "pass" not in model.identity


async def test_redirects_are_not_followed_with_the_key() -> None:
    leaked: list[str] = []

    async def thief(http: web.Request) -> web.Response:
        leaked.append(http.path)
        return web.json_response(openai_completion())

    async with provider_server(thief) as elsewhere:

        async def handler(_: web.Request) -> web.Response:
            return web.Response(status=307, headers={"Location": elsewhere})

        async with provider_server(handler) as url:
            with pytest.raises(OverrefusalError, match="307"):
                await ask_wire(openai_wire("m", url, KEY))
    assert leaked == []


async def test_a_server_that_is_not_there_ends_the_run() -> None:
    async with raw_server(b"") as url:
        pass
    with pytest.raises(OverrefusalError, match="is the server running"):
        await ask_wire(endpoint_wire("m", url))
    with pytest.raises(OverrefusalError, match="cannot connect"):
        await ask_wire(endpoint_wire("m", "http://no-such-host.invalid/v1"))


async def test_a_host_that_does_not_react_ends_the_run() -> None:
    """A full backlog drops the handshake, as a firewall does."""
    with socket.socket() as server, socket.socket() as one, socket.socket() as two:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for client in (one, two):
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        wire = endpoint_wire("m", f"http://127.0.0.1:{server.getsockname()[1]}")
        with pytest.raises(OverrefusalError, match="no reaction"):
            await ask_wire(wire, limits=replace(QUICK, timeout_s=0.3))


async def test_https_where_the_server_speaks_http() -> None:
    async with provider_server(replying(openai_completion())) as url:
        with pytest.raises(OverrefusalError, match=r"cannot connect .*SSL"):
            await ask_wire(endpoint_wire("m", url.replace("http:", "https:")))


async def test_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    async def proxy(http: web.Request) -> web.Response:
        asked.append(str(http.url))
        return web.json_response(openai_completion("by proxy"))

    async with provider_server(proxy) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.setenv("no_proxy", "inside.invalid")
        r = await ask_wire(endpoint_wire("m", "http://model.invalid/v1"))
        with pytest.raises(OverrefusalError, match="cannot connect"):
            await ask_wire(endpoint_wire("m", "http://inside.invalid/v1"))
    assert (r.text, asked) == ("by proxy", ["http://model.invalid/v1/chat/completions"])
    async with provider_server(replying(openai_completion("direct"))) as url:
        assert (await ask_wire(endpoint_wire("m", url))).text == "direct"


async def test_one_forbidden_prompt_does_not_end_a_run_that_works() -> None:
    replies = [web.json_response(openai_completion()), web.Response(status=403, text="blocked")]

    async def handler(_: web.Request) -> web.Response:
        return replies.pop(0)

    async with provider_server(handler) as url:
        model = HttpModel(endpoint_wire("m", url), QUICK)
        assert (await model.answer(request())).error is None
        r = await model.answer(request())
        await model.close()
    assert (r.error, r.actor, r.attempts) == ("HTTP 403: blocked", None, 1)


async def test_a_server_that_goes_away_ends_the_run() -> None:
    async with provider_server(replying(openai_completion())) as url:
        model = HttpModel(endpoint_wire("m", url), QUICK)
        assert (await model.answer(request())).error is None
    with pytest.raises(OverrefusalError, match="repeat the command to resume"):
        await model.answer(request())
    await model.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"\x00\xff garbage\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{",
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n',
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
        b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"choices": [1]}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n{"choices": [{}]}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"choices": 7}',
    ],
)
async def test_garbage_is_an_error_and_no_answer(reply: bytes) -> None:
    async with raw_server(reply) as url:
        r = await ask_wire(endpoint_wire("m", url))
    assert r.error is not None
    assert r.attempts == 4
    assert (r.text, r.raw) == ("", None)


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{"])
async def test_nothing_for_ever_times_out(reply: bytes) -> None:
    async with raw_server(reply, then_hang=True) as url:
        limits = replace(QUICK, timeout_s=0.1, max_attempts=2)
        r = await ask_wire(endpoint_wire("m", url), limits=limits)
    assert r.error == "no complete reply within 0.1 s (gave up after 2 attempts)"


async def test_waiting_for_a_free_connection_is_no_timeout() -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return web.json_response(openai_completion())

    async with provider_server(handler) as url:
        model = HttpModel(endpoint_wire("m", url), replace(QUICK, concurrency=1, timeout_s=0.4))
        answers = await asyncio.gather(*(model.answer(request(id=str(i))) for i in range(8)))
        await model.close()
    assert [r.attempts for r in answers] == [1] * 8


async def test_concurrency_is_bounded() -> None:
    now = most = 0

    async def handler(_: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return web.json_response(openai_completion())

    async with provider_server(handler) as url:
        model = HttpModel(endpoint_wire("m", url), replace(QUICK, concurrency=3))
        await asyncio.gather(*(model.answer(request(id=str(i))) for i in range(30)))
        await model.close()
    assert most == 3


@pytest.mark.parametrize(
    "text",
    [
        "NUL \x00 inside",
        "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b2J",
        "a" * 2**20,
        "emoji 🤖, Straße, قهوة, 漢字",
    ],
    ids=["nul", "escapes", "megabyte", "unicode"],
)
async def test_text_is_kept_verbatim(text: str) -> None:
    r = await ask("endpoint/m", openai_completion(text))
    assert r.text == text
    assert r.error is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"choices": [{"message": {"content": "half \\ud83d a pair"}}]}', "half � a pair"),
        (b'{"choices": [{"message": {"content": "raw \x00 and \n"}}]}', "raw \x00 and \n"),
        (b'{"choices": [{"message": {"content": "bad \xff byte"}}]}', "bad � byte"),
    ],
)
async def test_unclean_json_does_not_spoil_an_answer(body: bytes, text: str) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with provider_server(handler) as url:
        r = await ask_wire(endpoint_wire("m", url))
    assert r.text == text
    r.text.encode()


async def test_control_characters_do_not_reach_error_messages() -> None:
    said = "bad\x1b[2J\nrequest \x00" + "x" * 5000
    r = await ask("endpoint/m", openai_error(said), 400)
    assert r.error is not None
    assert r.error.isprintable()
    assert len(r.error) < 400


async def test_an_error_inside_a_reply_of_status_200() -> None:
    """Gateways have sent their status before the upstream fails."""
    replies: list[Any] = [
        {"error": {"code": 502, "message": "upstream"}},
        {"error": "overloaded"},
        {"choices": [{"finish_reason": "error", "message": {"content": ""}}]},
        openai_completion("at last"),
    ]

    async def handler(_: web.Request) -> web.Response:
        return web.json_response(replies.pop(0))

    async with provider_server(handler) as url:
        r = await ask_wire(endpoint_wire("m", url))
    assert (r.text, r.attempts) == ("at last", 4)
    r = await ask("endpoint/m", {"error": {"code": 400, "message": "too long"}})
    assert r.error == "HTTP 400: too long"


@pytest.mark.parametrize(
    ("spec", "fault", "answer"),
    [
        (
            "anthropic/m",
            (529, anthropic_error("overloaded_error", "Overloaded")),
            anthropic_message("at last"),
        ),
        ("anthropic/m", (200, {"type": "message"}), anthropic_message("at last")),
        ("anthropic/m", (200, {"type": "ping"}), anthropic_message("at last")),
        ("google/m", (200, {"usageMetadata": {}}), gemini_answer("at last")),
        ("google/m", (200, {"candidates": "none"}), gemini_answer("at last")),
        ("bedrock/m", (200, {"output": {}}), converse_answer("at last")),
        ("bedrock/m", (200, {"output": None}), converse_answer("at last")),
    ],
)
async def test_other_providers_malformed_replies_are_retried(
    spec: str, fault: tuple[int, Any], answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    replies = [fault, (200, answer)]

    async def handler(_: web.Request) -> web.Response:
        status, payload = replies.pop(0)
        return web.json_response(payload, status=status)

    async with provider_server(handler) as url:
        model = open_model(spec, base_url=url, api_key=KEY)
        r = await model.answer(request())
        await model.close()
    assert (r.text, r.attempts, r.error) == ("at last", 2, None)


async def test_limits_on_requests_a_minute() -> None:
    clock = _Clock()
    async with provider_server(replying(openai_completion())) as url:
        model = HttpModel(endpoint_wire("m", url), Limits(rpm=60), sleep=clock.sleep, clock=clock)
        for _ in range(11):
            await model.answer(request())
        await model.close()
    assert clock.now - 1000.0 == pytest.approx(10.0)


async def test_limits_on_tokens_a_minute_learn_from_usage() -> None:
    clock = _Clock()
    async with provider_server(replying(openai_completion())) as url:
        model = HttpModel(endpoint_wire("m", url), Limits(tpm=4600), sleep=clock.sleep, clock=clock)
        for _ in range(101):
            await model.answer(request())
        await model.close()
    # 46 tokens each by the server's count, far less than estimated beforehand.
    assert clock.now - 1000.0 == pytest.approx(60.0, rel=0.1)


def test_limits_are_checked() -> None:
    bad: list[Callable[[], Limits]] = [
        lambda: Limits(concurrency=0),
        lambda: Limits(rpm=0),
        lambda: Limits(tpm=-1),
        lambda: Limits(timeout_s=0),
        lambda: Limits(max_attempts=0),
    ]
    for make in bad:
        with pytest.raises(OverrefusalError):
            make()


async def test_a_fifth_of_requests_meets_a_fault_and_all_are_answered() -> None:
    async def handler(http: web.Request) -> web.Response:
        asked = (await http.json())["messages"][0]["content"]
        return web.json_response(openai_completion(f"answer to {asked}"))

    async with provider_server(faulty(handler, 0.2, seed=1)) as url:
        limits = replace(QUICK, timeout_s=0.3, max_attempts=10, concurrency=32)
        model = HttpModel(endpoint_wire("m", url), limits)
        answers = await asyncio.gather(*(model.answer(request(str(i))) for i in range(500)))
        await model.close()
    assert [r.text for r in answers] == [f"answer to {i}" for i in range(500)]
    assert sum(r.attempts for r in answers) > 550
