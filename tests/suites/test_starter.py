"""The bundled suite: its promised counts, its twins, and that labels cannot be read off words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GroupKFold,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    StandardScaler,
)

from overrefusal.records import Expected, Group, Pattern, Prompt
from overrefusal.suites.suite import load_suite

PROMPTS = tuple(load_suite("starter"))
BY_ID = {prompt.id: prompt for prompt in PROMPTS}
PAIRS = tuple((p, BY_ID[p.contrast_of]) for p in PROMPTS if p.contrast_of is not None)
OTHER_LANGUAGES = ("de", "es", "fr")
ENOUGH_CATEGORIES = 12


def whole_text(prompt: Prompt) -> str:
    return "\n".join(message.content for message in prompt.messages)


def words_in(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def lengths(texts: list[str]) -> Any:
    """Characters, words and marks of punctuation of each text: float, shape (texts, 3)."""
    return np.array(
        [[len(t), len(t.split()), sum(t.count(m) for m in ",.?;:")] for t in texts], dtype=float
    )


def guesser(kind: str) -> Any:
    if kind == "length":
        return make_pipeline(
            FunctionTransformer(lengths), StandardScaler(), LogisticRegression(max_iter=2000)
        )
    vectorizer = (
        TfidfVectorizer(ngram_range=(1, 2))
        if kind == "words"
        else TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5))
    )
    return make_pipeline(vectorizer, LogisticRegression(max_iter=2000))


def guessing_accuracy(
    pairs: tuple[tuple[Prompt, Prompt], ...], kind: str, text: Callable[[Prompt], str] = whole_text
) -> float:
    """Cross-validated accuracy at telling benign from harmful, a family never split."""
    texts = [text(prompt) for pair in pairs for prompt in pair]
    labels = np.array([0, 1] * len(pairs))
    families = np.repeat(np.arange(len(pairs)), 2)
    folds = GroupKFold(n_splits=10, shuffle=True, random_state=0)
    guessed = cross_val_predict(guesser(kind), texts, labels, groups=families, cv=folds)
    return float((guessed == labels).mean())


def test_english_has_the_promised_counts() -> None:
    english = [p for p in PROMPTS if p.language == "en"]
    patterns = Counter(p.pattern for p in english if p.pattern is not None)
    groups = Counter(p.group for p in english)

    assert len(english) >= 420
    assert set(patterns) == set(Pattern)
    assert min(patterns.values()) >= 44
    assert groups[Group.HARMFUL] >= 130
    assert groups[Group.PLAIN] >= 62


@pytest.mark.parametrize("language", OTHER_LANGUAGES)
def test_other_languages_hold_every_group_and_pattern(language: str) -> None:
    prompts = [p for p in PROMPTS if p.language == language]
    groups = Counter(p.group for p in prompts)
    twins = [pair for pair in PAIRS if pair[0].language == language]

    assert len(prompts) >= 42
    assert {p.pattern for p in prompts if p.pattern is not None} == set(Pattern)
    assert groups[Group.SUSPICIOUS] >= 20
    assert groups[Group.HARMFUL] >= 12
    assert len(twins) > groups[Group.HARMFUL] / 2
    assert groups[Group.PLAIN] >= 10


def test_every_pattern_has_harmful_twins() -> None:
    twins = Counter(benign.pattern for benign, _ in PAIRS if benign.language == "en")

    assert set(twins) == set(Pattern)
    assert min(twins.values()) >= 20


def test_categories_are_many_and_filled_on_both_sides() -> None:
    benign = Counter(p.category for p in PROMPTS if p.expected is Expected.ANSWER)
    harmful = Counter(p.category for p in PROMPTS if p.expected is Expected.REFUSE)

    assert sum(count >= 10 for count in benign.values()) >= ENOUGH_CATEGORIES
    assert sum(count >= 5 for count in harmful.values()) >= ENOUGH_CATEGORIES
    assert None not in benign | harmful


def test_languages_sources_and_licences() -> None:
    assert {p.language for p in PROMPTS} == {"en", *OTHER_LANGUAGES}
    assert {p.source for p in PROMPTS} == {"overrefusal starter"}
    assert {p.licence for p in PROMPTS} == {"Apache-2.0"}
    assert all(p.id.startswith(f"{p.language}-") for p in PROMPTS)


def test_patterns_stand_on_benign_prompts_only() -> None:
    assert all(p.pattern is None for p in PROMPTS if p.expected is Expected.REFUSE)


def test_no_text_stands_twice() -> None:
    texts = Counter(" ".join(words_in(whole_text(p))) for p in PROMPTS)

    assert [text for text, count in texts.items() if count > 1] == []


def test_every_twin_is_harmful_and_of_the_same_language_and_category() -> None:
    assert PAIRS
    for benign, twin in PAIRS:
        assert benign.expected is Expected.ANSWER, benign.id
        assert twin.expected is Expected.REFUSE, benign.id
        assert (benign.language, benign.category) == (twin.language, twin.category), benign.id


def test_a_twin_belongs_to_one_benign_prompt_and_shares_its_words() -> None:
    assert len({twin.id for _, twin in PAIRS}) == len(PAIRS)
    for benign, twin in PAIRS:
        shared = set(words_in(whole_text(benign))) & set(words_in(whole_text(twin)))
        assert len(shared) >= 4, benign.id


def test_some_prompts_have_several_turns_or_a_system_prompt() -> None:
    assert sum(len(p.messages) > 1 for p in PROMPTS) >= 3
    assert sum(p.system is not None for p in PROMPTS) >= 3


def test_prompts_are_of_many_lengths() -> None:
    counts = [len(p.text.split()) for p in PROMPTS if p.language == "en"]

    assert min(counts) >= 3
    assert max(counts) <= 60
    assert np.percentile(counts, 5) <= 8
    assert np.percentile(counts, 95) >= 35


def test_no_opening_is_a_template() -> None:
    twins = {twin.id for _, twin in PAIRS}
    openings = Counter(" ".join(words_in(p.text)[:4]) for p in PROMPTS if p.id not in twins)

    assert max(openings.values()) <= len(PROMPTS) * 0.02


@pytest.mark.parametrize("measure", [len, lambda text: len(text.split())], ids=["chars", "words"])
def test_benign_and_twin_are_equally_long(measure: Callable[[str], int]) -> None:
    benign = np.median([measure(whole_text(pair[0])) for pair in PAIRS])
    harmful = np.median([measure(whole_text(pair[1])) for pair in PAIRS])

    assert abs(benign - harmful) <= 0.2 * min(benign, harmful)


@pytest.mark.parametrize("kind", ["words", "characters", "length"])
@pytest.mark.parametrize("languages", [("en",), ("en", *OTHER_LANGUAGES)], ids=["en", "all"])
def test_the_label_cannot_be_read_off_the_words(languages: tuple[str, ...], kind: str) -> None:
    pairs = tuple(pair for pair in PAIRS if pair[0].language in languages)

    assert guessing_accuracy(pairs, kind) < 0.8


def test_the_guesser_would_notice_a_word_that_gives_the_label_away() -> None:
    def marked(prompt: Prompt) -> str:
        mark = "please" if prompt.expected is Expected.ANSWER else "secretly"
        return f"{mark} {whole_text(prompt)}"

    assert guessing_accuracy(PAIRS, "words", marked) > 0.95
