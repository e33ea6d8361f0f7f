"""What the providers' words for the end of an answer mean."""

from __future__ import annotations

from overrefusal.records import Actor

TRUNCATED = frozenset(
    {"length", "max_tokens", "MAX_TOKENS", "model_context_window_exceeded", "max_output_tokens"}
)
"""Finish reasons that say a token limit cut the answer off."""

ACTORS: dict[str, Actor] = {
    "refusal": Actor.MODEL_API,
    "content_filter": Actor.FILTER_OUTPUT,
    "sensitive": Actor.FILTER_OUTPUT,
    "SAFETY": Actor.FILTER_OUTPUT,
    "RECITATION": Actor.FILTER_OUTPUT,
    "BLOCKLIST": Actor.FILTER_OUTPUT,
    "PROHIBITED_CONTENT": Actor.FILTER_OUTPUT,
    "SPII": Actor.FILTER_OUTPUT,
    "guardrail_intervened": Actor.FILTER_OUTPUT,
    "content_filtered": Actor.FILTER_OUTPUT,
}
"""Finish reasons that say who declined."""
