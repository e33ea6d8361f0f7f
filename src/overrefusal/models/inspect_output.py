"""What Inspect's record of an answer says, live or in a log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overrefusal.models.payload import as_int
from overrefusal.models.thinking import join_thinking, split_thinking
from overrefusal.records import Actor, Response

_BLOCKED_PROMPT = "BLOCKED: "
_NO_CONTENT = "(no content)"
"""What Inspect writes where a provider sent no text."""


def read_output(output: dict[str, Any]) -> Response:
    """The response in a ``ModelOutput`` of Inspect, as JSON; ``raw`` is that JSON.

    Inspect has one word, ``content_filter``, for a refusal through the API's own field, a filter on
    the input and a filter on the output, and for some of them it writes a text of its own where the
    model's would stand. Who acted is told from the details beside it, and a text that no model
    wrote is left out.
    """
    choices = output.get("choices") or []
    usage = output.get("usage") or {}
    if not choices:
        return Response(error=str(output.get("error") or "Inspect has no answer"), raw=output)
    choice = choices[0]
    stop = choice.get("stop_reason")
    details = choice.get("stop_details") or {}
    text, thinking, refused = _content(choice["message"].get("content"))
    text, inline = split_thinking("" if text == _NO_CONTENT else text)
    actor: Actor | None = Actor.MODEL_API if refused else None
    if stop == "content_filter" and not refused:
        actor, written_by_model = _who_filtered(output, details, text)
        text = text if written_by_model else ""
    error = None
    if stop == "model_length" and not usage:
        # The provider turned the prompt away as too long; the text is its error message.
        error, text = f"the prompt does not fit the model's context ({text[:200]})", ""
    categories = [c.get("category") for c in details.get("categories") or []]
    return Response(
        text=text,
        thinking=join_thinking(thinking, inline),
        finish_reason=stop,
        actor=actor,
        categories=tuple(str(c) for c in categories or [details.get("category")] if c),
        truncated=stop in ("max_tokens", "model_length"),
        error=error,
        model_reported=output.get("model") or None,
        input_tokens=_input_tokens(usage),
        output_tokens=as_int(usage.get("output_tokens")),
        latency_s=output.get("time"),
        cost_usd=usage.get("total_cost"),
        raw=output,
    )


def _content(content: Any) -> tuple[str, str | None, bool]:
    """Text, thinking, and whether the API marked the text as a refusal."""
    if isinstance(content, str):
        return content, None, False
    text, thinking, refused = [], [], False
    for part in content or []:
        if part.get("type") == "text":
            text.append(part.get("text") or "")
            refused = refused or bool(part.get("refusal"))
        elif part.get("type") == "reasoning":
            hidden = part.get("redacted")
            thinking.append((part.get("summary") if hidden else part.get("reasoning")) or "")
    return "\n".join(text), join_thinking(*thinking), refused


def _who_filtered(
    output: dict[str, Any], details: Mapping[str, Any], text: str
) -> tuple[Actor, bool]:
    """Who acted where Inspect says ``content_filter``, and whether the text is the model's."""
    kind, explanation = details.get("type"), details.get("explanation")
    if output.get("error"):
        # Anthropic's "content filtering" error, with a text that Inspect invents.
        return Actor.FILTER_OUTPUT, False
    if text.startswith(_BLOCKED_PROMPT):
        # Gemini's feedback on the prompt, spelt out.
        return Actor.FILTER_INPUT, False
    if kind == "refusal":
        if explanation and explanation == text:
            # An HTTP error of OpenAI's or Azure's filter; both are its message.
            return Actor.FILTER_INPUT, False
        return Actor.MODEL_API, True
    if kind is None and str(output.get("model", "")).startswith(("claude", "anthropic/")):
        # Anthropic's stop reason "refusal" of models that give no details.
        return Actor.MODEL_API, True
    return Actor.FILTER_OUTPUT, True


def _input_tokens(usage: Mapping[str, Any]) -> int | None:
    """All tokens of the input; Inspect counts those read from a cache apart."""
    parts = [
        as_int(usage.get(name))
        for name in ("input_tokens", "input_tokens_cache_read", "input_tokens_cache_write")
    ]
    return sum(p for p in parts if p is not None) if parts[0] is not None else None
