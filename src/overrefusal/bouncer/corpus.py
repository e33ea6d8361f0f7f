"""Training text: examples of the grammar with the replies that a stage teaches, as token ids."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from overrefusal.bouncer.grammar import PATTERNS, Example, Words, alarming, example
from overrefusal.bouncer.lexicon import CATEGORIES, LANGUAGES, lexicon
from overrefusal.bouncer.raters import alarm, decline, heat, helpful
from overrefusal.bouncer.tokens import END, render
from overrefusal.errors import OverrefusalError
from overrefusal.records import Group, Message

SHARES = {Group.HARMFUL: 0.28, Group.SUSPICIOUS: 0.28, Group.PLAIN: 0.44}
INTENTS = (*PATTERNS, "plain", "harm")
OPENINGS = 0.72
"""Share of the rows that end with a reply's first tokens: these decide what it does, and the rest
is learned from fewer."""
LONGEST = 160
"""Of a training sequence, in tokens."""
LANGUAGE_WEIGHTS = (0.37, 0.24, 0.2, 0.19)
"""How often each of ``LANGUAGES`` is drawn; German, whose words are long and rare, needs more."""


@dataclass(frozen=True, slots=True)
class Row:
    """One training sequence; the reply starts at ``reply``."""

    ids: tuple[int, ...]
    reply: int
    intent: int
    """Index into ``INTENTS``."""
    category: int
    """Index into ``CATEGORIES``, or their number for everyday requests."""
    language: int
    """Index into ``LANGUAGES``."""
    heat: float
    """How alarming its words sound to the raters."""
    alarm: float
    """What is left of the heat where somebody vouches for the request; 1 where it is harmful."""
    trust: float
    """1 where a purpose is stated or the operator asks for open answers."""
    declined: bool
    """The reply is a refusal."""


def conversation(e: Example) -> tuple[Message, ...]:
    """All turns of an example, the system prompt first."""
    return (Message("system", e.system), *e.messages) if e.system else e.messages


def examples(n: int, seed: str, words: Words, *, rated: bool = False) -> Iterator[Example]:
    """``n`` examples of training families in the shares of ``SHARES``; ``rated`` takes whole
    sentences of those that only raters see."""
    rng = random.Random(seed)
    for _ in range(n):
        group = rng.choices(list(SHARES), list(SHARES.values()))[0]
        language = rng.choices(LANGUAGES, LANGUAGE_WEIGHTS)[0]
        yield example(rng, group, language, rated=rated, words=words)


def prompts(found: Sequence[Example], encode: Callable[[list[str]], list[list[int]]]) -> list[Row]:
    """The examples without replies, very long ones left out; ``encode`` turns texts into ids,
    special tokens recognised."""
    ids = encode([render(conversation(e)) for e in found])
    return [
        _row(e, prompt, [], False)
        for e, prompt in zip(found, ids, strict=True)
        if len(prompt) <= LONGEST
    ]


def rows(
    found: Sequence[Example],
    declined: Sequence[bool],
    rng: random.Random,
    encode: Callable[[list[str]], list[list[int]]],
) -> list[Row]:
    """Training sequences with replies, refusals where ``declined`` says so; the very long ones
    are left out."""
    texts = [render(conversation(e)) for e in found]
    texts += [decline(e) if no else helpful(e) for e, no in zip(found, declined, strict=True)]
    ids = encode(texts)
    out: list[Row] = []
    for e, no, prompt, reply in zip(
        found, declined, ids[: len(found)], ids[len(found) :], strict=True
    ):
        answer = [*reply, END]
        row = _row(e, prompt, answer[:4] if rng.random() < OPENINGS else answer, no)
        if len(row.ids) <= LONGEST:
            out.append(row)
    return out


def _row(e: Example, prompt: Sequence[int], answer: Sequence[int], declined: bool) -> Row:
    everyday = e.category not in CATEGORIES
    return Row(
        ids=(*prompt, *answer),
        reply=len(prompt),
        intent=INTENTS.index(e.intent),
        category=len(CATEGORIES) if everyday else CATEGORIES.index(e.category),
        language=LANGUAGES.index(e.language),
        heat=0.0 if e.group is Group.PLAIN else heat(e),
        alarm=alarm(e),
        trust=float(e.fitting or e.purpose),
        declined=declined,
    )


def neutral_words(per_language: int = 25_000) -> dict[str, list[str]]:
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
        out[language] = [
            w
            for w in top_n_list(language, per_language)
            if len(w) > 2 and w.isalpha() and w not in bad and not alarming(lex, w)
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
