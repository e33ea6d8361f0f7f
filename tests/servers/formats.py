"""Payloads as the providers write them."""

from __future__ import annotations

from typing import Any


def openai_completion(
    text: str | None = "An answer.", finish: str | None = "stop", **message: Any
) -> dict[str, Any]:
    """A chat completion; keywords go into its message."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None, **message},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46},
    }


def openai_error(message: str, *, type: str = "invalid_request_error", code: Any = None) -> Any:
    """An error of the OpenAI protocol."""
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def azure_filter(**filtered: bool) -> dict[str, Any]:
    """Azure's annotations: ``hate=True`` is a category that was filtered."""
    severity = {True: "high", False: "safe"}
    return {name: {"filtered": on, "severity": severity[on]} for name, on in filtered.items()}


def azure_input_block(**filtered: bool) -> dict[str, Any]:
    """The body of Azure's HTTP 400 for a prompt that its filter blocked."""
    return {
        "error": {
            "message": "The response was filtered due to the prompt triggering Azure OpenAI's "
            "content management policy. Please modify your prompt and retry.",
            "type": None,
            "param": "prompt",
            "code": "content_filter",
            "status": 400,
            "innererror": {
                "code": "ResponsibleAIPolicyViolation",
                "content_filter_result": azure_filter(**filtered),
            },
        }
    }


def anthropic_message(
    text: str | None = "An answer.", stop: str = "end_turn", **fields: Any
) -> dict[str, Any]:
    """A message; ``text=None`` leaves its content empty."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [] if text is None else [{"type": "text", "text": text}],
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 12, "output_tokens": 34},
        **fields,
    }


def anthropic_error(kind: str, message: str) -> dict[str, Any]:
    """An error of the Messages interface."""
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def gemini_answer(
    text: str | None = "An answer.", finish: str = "STOP", **candidate: Any
) -> dict[str, Any]:
    """A ``generateContent`` reply; ``text=None`` leaves the candidate without content."""
    content = {} if text is None else {"content": {"role": "model", "parts": [{"text": text}]}}
    return {
        "candidates": [{**content, "finishReason": finish, "index": 0, **candidate}],
        "usageMetadata": {
            "promptTokenCount": 12,
            "candidatesTokenCount": 34,
            "totalTokenCount": 46,
        },
        "modelVersion": "gemini-2.5-flash",
    }


def gemini_rating(category: str, *, blocked: bool = False, probability: str = "LOW") -> Any:
    """One of Gemini's safety ratings."""
    rating: dict[str, Any] = {"category": category, "probability": probability}
    return {**rating, "blocked": True} if blocked else rating


def converse_answer(
    text: str = "An answer.", stop: str = "end_turn", **fields: Any
) -> dict[str, Any]:
    """A Converse reply."""
    return {
        "metrics": {"latencyMs": 321},
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": stop,
        "usage": {"inputTokens": 12, "outputTokens": 34, "totalTokens": 46},
        **fields,
    }
