"""The hot path to models behind HTTP APIs: one session, bounded retries, rate limits."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import yarl

from overrefusal.errors import OverrefusalError
from overrefusal.models.limiter import Bucket
from overrefusal.models.payload import MalformedReply, decode, error_message, printable
from overrefusal.models.prices import Price, cost_usd
from overrefusal.models.settings import proxy_for
from overrefusal.models.wire import Call, Wire
from overrefusal.records import Request, Response

USER_AGENT = "overrefusal"
_CONNECT_S = 20.0
_UNREACHED_ATTEMPTS = 3
"""A server that was never reached is not asked more often than this."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How hard a provider may be pressed, and for how long."""

    concurrency: int = 16
    rpm: float | None = None
    """Requests per minute; ``None`` for no limit."""
    tpm: float | None = None
    """Tokens (in and out) per minute; ``None`` for no limit."""
    timeout_s: float = 120.0
    """Of one attempt, from connecting to the last byte."""
    max_attempts: int = 10
    max_total_s: float = 600.0
    """Of all attempts at one request and the waits between them."""
    backoff_s: float = 0.5
    """The first wait is drawn between 0 and this; each further one from twice the range."""
    backoff_cap_s: float = 30.0

    def __post_init__(self) -> None:
        for name in ("rpm", "tpm", "timeout_s", "max_total_s", "backoff_s", "backoff_cap_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise OverrefusalError(f"{name} must be more than 0, not {value}")
        for name in ("concurrency", "max_attempts"):
            if getattr(self, name) < 1:
                raise OverrefusalError(f"{name} must be at least 1, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt that deserves another."""

    message: str
    retry_after: float | None = None
    unreachable: bool = False


class HttpModel:
    """A model behind an HTTP API, whose ``wire`` writes requests and reads replies.

    Retries 429, 5xx, transport errors, timeouts and bodies that are no answer, with exponential
    backoff and full jitter, no earlier than ``Retry-After`` says, within ``limits``. What a filter
    says is an answer and is not retried.
    """

    keyed_by_id = False

    def __init__(
        self,
        wire: Wire,
        limits: Limits | None = None,
        *,
        price: Price | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
    ) -> None:
        """``price`` overrides the table; ``sleep``, ``clock`` and ``rng`` are for tests."""
        self.spec = wire.spec
        self.identity = wire.identity
        self._wire = wire
        self._limits = limits or Limits()
        self._price = price
        self._sleep = sleep
        self._clock = clock
        self._rng = rng or random.Random()
        self._requests = Bucket(self._limits.rpm, clock) if self._limits.rpm else None
        self._tokens = Bucket(self._limits.tpm, clock) if self._limits.tpm else None
        self._slots = asyncio.Semaphore(self._limits.concurrency)
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, yarl.URL] = {}
        self._paced = bool(self._requests or self._tokens)
        self._not_before = 0.0
        self._last_reply: float | None = None
        self._answered = False

    async def answer(self, request: Request) -> Response:
        """The model's response; ``error`` is set where every attempt failed.

        Raises ``OverrefusalError`` where the key, the model's name or the address is wrong, and
        where the server cannot be reached any more.
        """
        call = self._wire.call(request)
        estimate = self._estimate(call, request)
        first: float | None = None
        attempt = 0
        while True:
            attempt += 1
            if attempt > 1:
                # A signature is made for the moment at which it is sent.
                call = self._wire.call(request)
            if self._paced:
                await self._wait_for_turn(estimate)
            async with self._slots:
                started = self._clock()
                first = started if first is None else first
                outcome = await self._attempt(call)
            if isinstance(outcome, Response):
                return self._finished(outcome, attempt, self._clock() - started, estimate)
            if self._tokens is not None:
                self._tokens.give_back(estimate)
            if outcome.unreachable:
                self._check_reachable(attempt, first, outcome)
            delay = self._delay(attempt, outcome)
            if (
                attempt >= self._limits.max_attempts
                or self._clock() + delay - first > self._limits.max_total_s
            ):
                return self._gave_up(attempt, outcome)
            if outcome.retry_after is not None:
                # The limit is the account's, not this request's: the others wait as well.
                self._not_before = max(self._not_before, self._clock() + outcome.retry_after)
                self._paced = True
            await self._sleep(delay)

    async def close(self) -> None:
        """Closes the connections; the model can be asked again afterwards."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _attempt(self, call: Call) -> Response | _Failure:
        url = self._urls.get(call.url)
        if url is None:
            url = self._urls[call.url] = yarl.URL(call.url, encoded=True)
        try:
            async with self._open_session().post(
                url, data=call.body, headers=call.headers, allow_redirects=False
            ) as reply:
                body = await reply.read()
                status = reply.status
                headers = reply.headers
        except (aiohttp.ClientConnectorCertificateError, ssl.SSLCertVerificationError) as error:
            raise OverrefusalError(
                f"{self.spec}: the certificate of {url.host} is not trusted ({error})"
            ) from None
        except aiohttp.ConnectionTimeoutError:
            return _Failure(f"cannot connect to {url.host}:{url.port} (no reaction)", None, True)
        except aiohttp.ClientConnectorError as error:
            why = printable(error.os_error)
            return _Failure(f"cannot connect to {url.host}:{url.port} ({why})", None, True)
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError):
            raise OverrefusalError(f"{self.spec}: no valid address: {url.host}") from None
        except TimeoutError:
            return _Failure(f"no complete reply within {self._limits.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return _Failure(f"the connection broke ({type(error).__name__}: {printable(error)})")
        except ValueError as error:
            # What the HTTP parser and a decompressor raise on garbage.
            return _Failure(f"the reply is no HTTP ({printable(error)})")
        self._last_reply = self._clock()
        return self._read(status, headers, body)

    def _read(self, status: int, headers: Any, body: bytes) -> Response | _Failure:
        if 200 <= status < 300:
            try:
                payload = decode(body)
                if not payload.get("error"):
                    return self._wire.read(payload)
                # Gateways report an upstream's failure inside a reply of status 200.
                status = _inner_status(payload)
            except MalformedReply as error:
                return _Failure(f"the reply is no answer ({error})")
            except (KeyError, TypeError, AttributeError, IndexError) as error:
                return _Failure(
                    f"the reply is no answer ({type(error).__name__}: {printable(error)})"
                )
        for secret in self._wire.secrets:
            body = body.replace(secret.encode(), b"[key]")
        try:
            payload = decode(body)
        except MalformedReply:
            payload = {"message": printable(body[:500].decode("utf-8", "replace"))}
        return self._read_error(status, headers, payload)

    def _read_error(
        self, status: int, headers: Any, payload: dict[str, Any]
    ) -> Response | _Failure:
        wire = self._wire
        said = printable(error_message(payload))
        if 400 <= status < 500 and (block := wire.read_block(status, payload)) is not None:
            return block
        if mend := wire.hopeless(status, payload):
            raise OverrefusalError(f"{self.spec}: {mend}")
        if status == 401:
            raise OverrefusalError(
                f"{self.spec}: the key is not accepted (HTTP 401): {wire.key_help}"
            )
        # Later on, what is forbidden is this prompt: some firewalls in front of a model say so.
        if status == 403 and not self._answered:
            raise OverrefusalError(
                f"{self.spec}: access is denied (HTTP 403: {said}): {wire.key_help}"
            )
        if status == 402:
            raise OverrefusalError(f"{self.spec}: the provider asks for payment (HTTP 402): {said}")
        if status == 404 or 300 <= status < 400 or status == 405:
            raise OverrefusalError(
                f"{self.spec}: no such model or path (HTTP {status}): {wire.name_help}"
            )
        if status == 429 or status == 408 or status >= 500:
            return _Failure(f"HTTP {status}: {said}".rstrip(": "), retry_after(headers, payload))
        return Response(error=f"HTTP {status}: {said}".rstrip(": "), raw=payload)

    def _finished(self, r: Response, attempts: int, latency: float, estimate: float) -> Response:
        self._answered = self._answered or r.error is None
        used = (r.input_tokens or 0) + (r.output_tokens or 0)
        if self._tokens is not None and used:
            self._tokens.give_back(estimate - used)
        cost = cost_usd(self.spec, r.model_reported, r.input_tokens, r.output_tokens, self._price)
        return replace(r, attempts=attempts, latency_s=latency, cost_usd=cost)

    def _gave_up(self, attempts: int, failure: _Failure) -> Response:
        times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
        return Response(error=f"{failure.message} (gave up after {times})", attempts=attempts)

    def _check_reachable(self, attempt: int, first: float, failure: _Failure) -> None:
        if self._last_reply is None:
            tried_enough = attempt >= min(_UNREACHED_ATTEMPTS, self._limits.max_attempts)
            mend = "is the address right, and is the server running?"
        else:
            tried_enough = attempt >= self._limits.max_attempts and self._last_reply < first
            mend = "the server has gone; repeat the command to resume once it is back"
        if tried_enough:
            raise OverrefusalError(f"{self.spec}: {failure.message}: {mend}")

    def _delay(self, attempt: int, failure: _Failure) -> float:
        top = min(self._limits.backoff_cap_s, self._limits.backoff_s * 2.0 ** (attempt - 1))
        jitter = self._rng.uniform(0.0, top)
        if failure.retry_after is None:
            return jitter
        return failure.retry_after + min(jitter, 1.0)

    async def _wait_for_turn(self, estimate: float) -> None:
        if (pause := self._not_before - self._clock()) > 0:
            await self._sleep(pause)
        wait = 0.0
        if self._requests is not None:
            wait = self._requests.take(1.0)
        if self._tokens is not None:
            wait = max(wait, self._tokens.take(estimate))
        if wait > 0:
            await self._sleep(wait)

    def _estimate(self, call: Call, request: Request) -> float:
        """Tokens a request may use: four bytes a token in, the limit (or 256) out."""
        if self._tokens is None:
            return 0.0
        return len(call.body) / 4 + (request.sampling.max_tokens or 256)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._limits.concurrency),
                timeout=aiohttp.ClientTimeout(
                    total=self._limits.timeout_s,
                    sock_connect=min(_CONNECT_S, self._limits.timeout_s / 2),
                ),
                proxy=proxy_for(self._wire.url),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": USER_AGENT, "Content-Type": "application/json"},
            )
        return self._session


def _inner_status(payload: dict[str, Any]) -> int:
    error = payload["error"]
    code = error.get("code", error.get("status")) if isinstance(error, dict) else None
    return code if isinstance(code, int) and 400 <= code < 600 else 500


def retry_after(headers: Any, payload: dict[str, Any]) -> float | None:
    """Seconds to wait, from ``Retry-After`` (seconds or an HTTP date), ``retry-after-ms`` or
    Google's ``RetryInfo`` in the body; ``None`` where the provider names none (RFC 9110, 10.2.3).
    """
    with suppress(KeyError, ValueError):
        return max(0.0, float(headers["retry-after-ms"]) / 1000.0)
    if value := headers.get("Retry-After"):
        with suppress(ValueError):
            return max(0.0, float(value))
        with suppress(ValueError, TypeError):
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    error = payload.get("error")
    details = error.get("details") if isinstance(error, dict) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict) and str(detail.get("retryDelay", "")).endswith("s"):
            with suppress(ValueError):
                return max(0.0, float(detail["retryDelay"][:-1]))
    return None
