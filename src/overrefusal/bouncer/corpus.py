"""Training text: examples of the grammar with the replies that a stage teaches, as token ids."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from overrefusal.bouncer.grammar import PATTERNS, Example, Words, example
from overrefusal.bouncer.lexicon import CATEGORIES, LANGUAGES, lexicon
from overrefusal.bouncer.tokens import END, render
from overrefusal.errors import OverrefusalError
from overrefusal.records import Group, Message

SHARES = {Group.HARMFUL: 0.28, Group.SUSPICIOUS: 0.28, Group.PLAIN: 0.44}
INTENTS = (*PATTERNS, "plain", "harm")
OPENINGS = 0.6
"""Share of the rows that end with a reply's first tokens: these decide what it does, and the rest
is learned from fewer."""
LANGUAGE_WEIGHTS = (0.4, 0.2, 0.2, 0.2)
"""How often each of ``LANGUAGES`` is drawn in the first pass."""
GERMAN_WEIGHTS = (0.3, 0.36, 0.19, 0.15)
"""And afterwards: German, whose words are long and rare, needs more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One training sequence; the reply starts at ``reply``."""

    ids: tuple[int, ...]
    reply: int
    intent: int
    """Index into ``INTENTS``."""
    category: int
    """Index into ``CATEGORIES``, or their number for everyday requests."""


def conversation(e: Example) -> tuple[Message, ...]:
    """All turns of an example, the system prompt first."""
    return (Message("system", e.system), *e.messages) if e.system else e.messages


def examples(
    n: int, seed: str, words: Words, weights: Sequence[float] = LANGUAGE_WEIGHTS
) -> Iterator[Example]:
    """``n`` examples of training families in the shares of ``SHARES``."""
    rng = random.Random(seed)
    for _ in range(n):
        group = rng.choices(list(SHARES), list(SHARES.values()))[0]
        language = rng.choices(LANGUAGES, weights)[0]
        yield example(rng, group, language, words=words)


def rows(
    n: int,
    seed: str,
    words: Words,
    reply: Callable[[Example, random.Random], str],
    encode: Callable[[list[str]], list[list[int]]],
    weights: Sequence[float] = LANGUAGE_WEIGHTS,
) -> list[Row]:
    """``n`` training sequences; ``encode`` turns texts into ids, special tokens recognised."""
    rng = random.Random(seed + "/replies")
    texts: list[str] = []
    labels: list[tuple[int, int]] = []
    for e in examples(n, seed, words, weights):
        everyday = e.category not in CATEGORIES
        category = len(CATEGORIES) if everyday else CATEGORIES.index(e.category)
        labels.append((INTENTS.index(e.intent), category))
        texts += [render(conversation(e)), reply(e, rng)]
    ids = encode(texts)
    out: list[Row] = []
    for i in range(0, len(ids), 2):
        answer = [*ids[i + 1], END]
        if rng.random() < OPENINGS:
            answer = answer[:4]
        if len(ids[i]) + len(answer) < 200:
            out.append(Row((*ids[i], *answer), len(ids[i]), *labels[i // 2]))
    return out


def neutral_words(per_language: int = 12_000) -> dict[str, list[str]]:
    """Frequent words by language that stand in no dangerous request of the grammar.

    Raises:
        OverrefusalError: the package ``wordfreq`` is missing.
    """
    try:
        from wordfreq import top_n_list
    except ImportError as e:
        raise OverrefusalError(
            "training Bouncer needs the package wordfreq: pip install 'overrefusal[train]'"
        ) from e
    out: dict[str, list[str]] = {}
    for language in LANGUAGES:
        lex = lexicon(language)
        everyday = " ".join(lex.words["nouns"]) + _all_text(language, ("plain",))
        safe = set(everyday.lower().replace(",", " ").split())
        harm = _all_text(language, tuple("harm:" + c for c in CATEGORIES))
        harm += " ".join(w for c in CATEGORIES for w in lex.words["topic:" + c])
        bad = {w for w in harm.lower().replace(",", " ").split() if w not in safe}
        stems = tuple(s for s in lex.words["hot"] if len(s) > 2)
        out[language] = [
            w
            for w in top_n_list(language, per_language)
            if len(w) > 2 and w.isalpha() and w not in bad and not any(s in w + " " for s in stems)
        ]
    return out


def _all_text(language: str, sections: tuple[str, ...]) -> str:
    parts: list[str] = []
    for section in sections:
        phrases = lexicon(language).phrases[section]
        parts += phrases.whole
        for c in phrases.combinations:
            parts += (*c.verbs, *c.objects, *c.aims)
    return " ".join(parts)
