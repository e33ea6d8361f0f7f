"""List prices of well-known models. What is not here costs ``None``, not nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

AS_OF = "2025-11"
"""When these were the providers' public list prices: no batch, cache or long-context rates."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float


_PRICES = {
    "openai": {
        "gpt-3.5-turbo": Price(0.50, 1.50),
        "gpt-4": Price(30.0, 60.0),
        "gpt-4-turbo": Price(10.0, 30.0),
        "gpt-4o": Price(2.50, 10.0),
        "gpt-4o-mini": Price(0.15, 0.60),
        "gpt-4.1": Price(2.0, 8.0),
        "gpt-4.1-mini": Price(0.40, 1.60),
        "gpt-4.1-nano": Price(0.10, 0.40),
        "gpt-5": Price(1.25, 10.0),
        "gpt-5-mini": Price(0.25, 2.0),
        "gpt-5-nano": Price(0.05, 0.40),
        "gpt-5.1": Price(1.25, 10.0),
        "o1": Price(15.0, 60.0),
        "o3": Price(2.0, 8.0),
        "o3-mini": Price(1.10, 4.40),
        "o4-mini": Price(1.10, 4.40),
    },
    "anthropic": {
        "claude-3-haiku": Price(0.25, 1.25),
        "claude-3-opus": Price(15.0, 75.0),
        "claude-3-5-haiku": Price(0.80, 4.0),
        "claude-3-5-sonnet": Price(3.0, 15.0),
        "claude-3-7-sonnet": Price(3.0, 15.0),
        "claude-sonnet-4": Price(3.0, 15.0),
        "claude-sonnet-4-5": Price(3.0, 15.0),
        "claude-opus-4": Price(15.0, 75.0),
        "claude-opus-4-1": Price(15.0, 75.0),
        "claude-opus-4-5": Price(5.0, 25.0),
        "claude-haiku-4-5": Price(1.0, 5.0),
    },
    "google": {
        "gemini-2.0-flash": Price(0.10, 0.40),
        "gemini-2.0-flash-lite": Price(0.075, 0.30),
        "gemini-2.5-flash": Price(0.30, 2.50),
        "gemini-2.5-flash-lite": Price(0.10, 0.40),
        "gemini-2.5-pro": Price(1.25, 10.0),
    },
}
# Dated snapshots cost what their alias costs; "-preview", "-pro" and the like need not.
_SNAPSHOT = re.compile(r"-(?:\d{4}-\d{2}-\d{2}|\d{8}|00\d|latest|0)\Z")
# These snapshots do not cost what their alias costs.
_OTHER_PRICE = {"gpt-4o-2024-05-13", "gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613"}


@lru_cache(maxsize=256)
def known_price(spec: str, model_reported: str | None = None) -> Price | None:
    """The list price of ``openai/…``, ``anthropic/…`` or ``google/…``; ``None`` where unknown.

    An Azure deployment may bear any name, so there the model that the reply reports decides.
    """
    kind, _, name = spec.partition("/")
    if kind == "azure":
        kind, name = "openai", model_reported or ""
    if kind not in _PRICES or name in _OTHER_PRICE:
        return None
    return _PRICES[kind].get(name) or _PRICES[kind].get(_SNAPSHOT.sub("", name))


def cost_usd(
    spec: str,
    model_reported: str | None,
    input_tokens: int | None,
    output_tokens: int | None,
    price: Price | None = None,
) -> float | None:
    """US dollars for one response; ``None`` where the price or a token count is unknown.

    ``price`` overrides the table.
    """
    if input_tokens is None or output_tokens is None:
        return None
    price = price or known_price(spec, model_reported)
    if price is None:
        return None
    return (input_tokens * price.input + output_tokens * price.output) / 1e6
