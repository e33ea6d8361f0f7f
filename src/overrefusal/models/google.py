"""Google's Gemini ``generateContent`` interface."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from overrefusal.models.payload import MalformedReply, as_int, error_message
from overrefusal.models.settings import address, api_key, public_address
from overrefusal.models.signals import ACTORS, TRUNCATED
from overrefusal.models.wire import Call, Wire, sample_seed, split_system
from overrefusal.records import Actor, Request, Response

_LIKELY = ("MEDIUM", "HIGH")


@dataclass(frozen=True, slots=True)
class GoogleWire(Wire):
    """``generateContent`` at ``url``."""

    def call(self, request: Request) -> Call:
        """The POST that asks ``request``."""
        sampling = request.sampling
        system, turns = split_system(request.messages)
        body: dict[str, Any] = {
            "contents": [
                {
                    "role": "model" if m.role == "assistant" else "user",
                    "parts": [{"text": m.content}],
                }
                for m in turns
            ]
        }
        if system:
            body["systemInstruction"] = {"parts": [{"text": system}]}
        config = {
            "temperature": sampling.temperature,
            "maxOutputTokens": sampling.max_tokens,
            "topP": sampling.top_p,
            "seed": sample_seed(request),
        }
        config = {name: value for name, value in config.items() if value is not None}
        if config:
            body["generationConfig"] = config
        return Call(self.url, self.headers, orjson.dumps(body))

    def read(self, payload: dict[str, Any]) -> Response:
        """The answer of the first candidate; a blocked prompt has none."""
        usage = payload.get("usageMetadata") or {}
        candidates = payload.get("candidates")
        feedback = payload.get("promptFeedback") or {}
        if block := feedback.get("blockReason"):
            return Response(
                finish_reason=block,
                actor=Actor.FILTER_INPUT,
                categories=_categories(feedback.get("safetyRatings")) or (block,),
                model_reported=payload.get("modelVersion"),
                input_tokens=as_int(usage.get("promptTokenCount")),
                raw=payload,
            )
        if not candidates:
            raise MalformedReply("no candidates")
        candidate = candidates[0]
        finish = candidate.get("finishReason")
        parts = (candidate.get("content") or {}).get("parts") or []
        actor = ACTORS.get(finish)
        categories: tuple[str, ...] = ()
        if actor is not None:
            categories = _categories(candidate.get("safetyRatings")) or (finish,)
        answered = as_int(usage.get("candidatesTokenCount"))
        thought = as_int(usage.get("thoughtsTokenCount"))
        return Response(
            text="".join(p["text"] for p in parts if "text" in p and not p.get("thought")),
            thinking="\n".join(p["text"] for p in parts if p.get("thought")) or None,
            finish_reason=finish,
            actor=actor,
            categories=categories,
            truncated=finish in TRUNCATED,
            model_reported=payload.get("modelVersion"),
            input_tokens=as_int(usage.get("promptTokenCount")),
            # Thinking is billed as output and counted apart.
            output_tokens=answered if thought is None else (answered or 0) + thought,
            raw=payload,
        )

    def hopeless(self, status: int, payload: dict[str, Any]) -> str | None:
        """A wrong key is reported as a bad request."""
        if status == 400 and "API key" in error_message(payload):
            return f"the key is not accepted (HTTP 400): {self.key_help}"
        return None


def google_wire(name: str, base_url: str | None = None, key: str | None = None) -> GoogleWire:
    """``google/NAME`` with the key of ``GEMINI_API_KEY`` or ``GOOGLE_API_KEY``."""
    spec = f"google/{name}"
    key = api_key(spec, key, "GEMINI_API_KEY", "GOOGLE_API_KEY")
    base = address(spec, base_url or "https://generativelanguage.googleapis.com/v1beta")
    return GoogleWire(
        spec=spec,
        identity=f"{spec}@{public_address(base)}" if base_url else spec,
        url=f"{base}/models/{quote(name)}:generateContent",
        headers={"x-goog-api-key": key},
        secrets=(key,),
        key_help="check GEMINI_API_KEY (or GOOGLE_API_KEY)",
        name_help=f"check the model's name {name!r}",
        model=name,
    )


def _categories(ratings: Any) -> tuple[str, ...]:
    """The categories that blocked; where none is marked so, those rated likely."""
    if not isinstance(ratings, list):
        return ()
    rated = [r for r in ratings if isinstance(r, dict) and "category" in r]
    blocked = [r for r in rated if r.get("blocked")]
    blocked = blocked or [r for r in rated if r.get("probability") in _LIKELY]
    return tuple(str(r["category"]) for r in blocked)
