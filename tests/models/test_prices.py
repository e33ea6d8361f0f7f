"""Costs are right where the price is known, and nothing where it is not."""

import pytest

from overrefusal.models.prices import Price, cost_usd, known_price


def test_known_models_and_their_snapshots() -> None:
    assert known_price("openai/gpt-4o") == Price(2.5, 10.0)
    assert known_price("openai/gpt-4o-2024-08-06") == Price(2.5, 10.0)
    assert known_price("anthropic/claude-3-5-haiku-20241022") == Price(0.8, 4.0)
    assert known_price("anthropic/claude-sonnet-4-0") == Price(3.0, 15.0)
    assert known_price("google/gemini-2.0-flash-001") == Price(0.1, 0.4)


@pytest.mark.parametrize(
    "spec",
    [
        "openai/gpt-4o-audio-preview",
        "openai/gpt-4o-2024-05-13",
        "openai/gpt-5-pro",
        "openai/ft:gpt-4o-mini:acme",
        "endpoint/gpt-4o",
        "hf/gpt-4o",
        "bouncer",
    ],
)
def test_unknown_is_not_free(spec: str) -> None:
    assert known_price(spec) is None
    assert cost_usd(spec, "gpt-4o", 1, 1) is None


def test_an_azure_deployment_costs_what_its_model_costs() -> None:
    assert known_price("azure/chat-prod", "gpt-4o-2024-08-06") == Price(2.5, 10.0)
    assert known_price("azure/gpt-4o") is None


def test_cost() -> None:
    assert cost_usd("openai/gpt-4o", None, 1_000_000, 100_000) == pytest.approx(3.5)
    assert cost_usd("openai/gpt-4o", None, None, 1) is None
    assert cost_usd("endpoint/m", None, 10, 10, Price(1.0, 2.0)) == pytest.approx(30e-6)
    assert cost_usd("openai/gpt-4o", None, 10, 10, Price(1.0, 2.0)) == pytest.approx(30e-6)
