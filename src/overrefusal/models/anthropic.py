"""Anthropic's Messages interface."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import orjson

from overrefusal.models.payload import MalformedReply, as_int, error_message, printable
from overrefusal.models.settings import address, api_key, public_address
from overrefusal.models.signals import ACTORS, TRUNCATED
from overrefusal.models.wire import Call, Wire, split_system
from overrefusal.records import Actor, Request, Response

MAX_TOKENS = 4096
"""Sent where the caller sets no limit: the interface demands one."""

_BLOCKED = re.compile(r"(input|prompt|output)\b.*\bblocked by\b.*\bcontent filter", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AnthropicWire(Wire):
    """Messages at ``url``."""

    def call(self, request: Request) -> Call:
        """The POST that asks ``request``; the interface knows no seed."""
        sampling = request.sampling
        system, turns = split_system(request.messages)
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": sampling.max_tokens or MAX_TOKENS,
            "messages": [{"role": m.role, "content": m.content} for m in turns],
        }
        if system:
            body["system"] = system
        if sampling.temperature is not None:
            body["temperature"] = sampling.temperature
        if sampling.top_p is not None:
            body["top_p"] = sampling.top_p
        return Call(self.url, self.headers, orjson.dumps(body))

    def read(self, payload: dict[str, Any]) -> Response:
        """The answer in a message; an API-level refusal often has no content."""
        if payload.get("type") != "message":
            raise MalformedReply(f"type {payload.get('type')!r} is no message")
        blocks = payload["content"]
        text = "".join(b["text"] for b in blocks if b["type"] == "text")
        thinking = "\n".join(b["thinking"] for b in blocks if b["type"] == "thinking")
        stop = payload["stop_reason"]
        actor = ACTORS.get(stop)
        details = payload.get("stop_details")
        details = details if isinstance(details, dict) else {}
        category = details.get("category")
        if actor is Actor.MODEL_API and not text:
            text = str(details.get("explanation") or "")
        usage = payload.get("usage") or {}
        return Response(
            text=text,
            thinking=thinking or None,
            finish_reason=stop,
            actor=actor,
            categories=(str(category),) if category else (),
            truncated=stop in TRUNCATED,
            model_reported=payload.get("model"),
            input_tokens=as_int(usage.get("input_tokens")),
            output_tokens=as_int(usage.get("output_tokens")),
            raw=payload,
        )

    def read_block(self, status: int, payload: dict[str, Any]) -> Response | None:
        """The content filter's answer, which comes as an error of status 400."""
        said = error_message(payload)
        if status != 400 or not (blocked := _BLOCKED.search(said)):
            return None
        output = blocked[1].lower() == "output"
        return Response(
            finish_reason="content filtering policy",
            actor=Actor.FILTER_OUTPUT if output else Actor.FILTER_INPUT,
            raw=payload,
        )

    def hopeless(self, status: int, payload: dict[str, Any]) -> str | None:
        """An account without credit and a setting turned down are reported as bad requests."""
        said = error_message(payload)
        if status != 400:
            return None
        if "credit balance is too low" in said:
            return "the account has no credit: check its billing"
        if said.startswith(("temperature", "`temperature`", "top_p", "`top_p`")):
            return f"the model does not take this setting, leave it unset: {printable(said)}"
        return None


def anthropic_wire(name: str, base_url: str | None = None, key: str | None = None) -> AnthropicWire:
    """``anthropic/NAME`` with the key of ``ANTHROPIC_API_KEY``."""
    spec = f"anthropic/{name}"
    key = api_key(spec, key, "ANTHROPIC_API_KEY")
    base = address(spec, base_url or "https://api.anthropic.com")
    return AnthropicWire(
        spec=spec,
        identity=f"{spec}@{public_address(base)}" if base_url else spec,
        url=f"{base.removesuffix('/v1')}/v1/messages",
        headers={"x-api-key": key, "anthropic-version": "2023-06-01"},
        secrets=(key,),
        key_help="check ANTHROPIC_API_KEY and what it is allowed to use",
        name_help=f"check the model's name {name!r}",
        model=name,
    )
