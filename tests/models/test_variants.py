"""A variant asks a prompt under its system prompt and sampling."""

from dataclasses import replace

from overrefusal.models.variants import Variant
from overrefusal.records import Expected, Message, Prompt, Sampling

PROMPT = Prompt(
    "p1",
    (Message("user", "Hi."), Message("assistant", "Yes?"), Message("user", "How?")),
    Expected.ANSWER,
    system="The prompt's.",
)


def test_system_prompts_come_first_the_operators_before_the_prompts() -> None:
    variant = Variant("openai/m", system="The operator's.", sampling=Sampling(0.5, 64))
    first, second = variant.requests(PROMPT, samples=2)
    assert first.messages == (
        Message("system", "The operator's."),
        Message("system", "The prompt's."),
        *PROMPT.messages,
    )
    assert (first.prompt_id, first.sample, first.sampling) == ("p1", 0, Sampling(0.5, 64))
    assert second == replace(first, sample=1)


def test_without_system_prompts() -> None:
    (only,) = Variant("openai/m").requests(replace(PROMPT, system=None))
    assert only.messages == PROMPT.messages


def test_fingerprint_follows_what_changes_answers() -> None:
    variant = Variant("openai/m", "Be kind.", Sampling(0.0), "kind")
    assert variant.fingerprint() == replace(variant, label="other").fingerprint()
    others = [
        replace(variant, model="openai/n"),
        replace(variant, system=None),
        replace(variant, system=""),
        replace(variant, sampling=Sampling(0.1)),
        replace(variant, sampling=Sampling(0.0, seed=1)),
    ]
    assert len({v.fingerprint() for v in [variant, *others]}) == 6
