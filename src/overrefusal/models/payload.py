"""JSON bodies of other people's servers: decoded leniently, quoted safely."""

from __future__ import annotations

import json
from typing import Any

import orjson


class MalformedReply(Exception):
    """A body that is no answer of this provider: it is retried like a cut connection."""


def decode(body: bytes) -> dict[str, Any]:
    """The JSON object in ``body``; ``MalformedReply`` where there is none.

    Lone surrogates and raw control characters, which some servers write, do not spoil a reply:
    surrogates become U+FFFD, control characters stay.
    """
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            payload = _whole(json.loads(body.decode("utf-8", "replace"), strict=False))
        except (ValueError, RecursionError):
            start = printable(body[:60].decode("utf-8", "replace"))
            raise MalformedReply(f"not JSON: {start!r}" if body else "an empty body") from None
    if not isinstance(payload, dict):
        raise MalformedReply(f"a JSON {type(payload).__name__}, not an object")
    return payload


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_whole(v) for v in value]
    if isinstance(value, dict):
        return {_whole(k): _whole(v) for k, v in value.items()}
    return value


def printable(value: object, limit: int = 300) -> str:
    """``value`` as one line without control characters, cut at ``limit`` characters."""
    text = " ".join(str(value)[: 4 * limit].split())
    text = "".join(c if c.isprintable() else "?" for c in text)
    return text if len(text) <= limit else text[:limit] + "…"


def error_message(payload: dict[str, Any]) -> str:
    """What an error payload says, in whichever of the usual places it says it."""
    error = payload.get("error") or payload
    if isinstance(error, dict):
        error = error.get("message") or error.get("Message") or payload.get("message")
    return error if isinstance(error, str) else ""


def error_code(payload: dict[str, Any]) -> str:
    """The error's ``code`` where it is a word, else its ``type``, else an empty string."""
    error = payload.get("error")
    if not isinstance(error, dict):
        error = payload
    code = error.get("code")
    return code if isinstance(code, str) else str(error.get("type") or "")


def as_int(value: Any) -> int | None:
    """``value`` where it is an integer; else ``None``."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None
