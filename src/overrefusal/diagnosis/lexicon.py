"""The word lists under ``lexicon/``, one file a language.

A file has sections ``[name]``. ``stop`` are words that carry no topic, ``particles`` those that
belong to the verb before them, ``endings`` what a word loses when its forms are counted as one,
longer ones first, ``infinitives`` the endings of verbs, ``determiners`` what stands before a noun
and ``before_verb`` before a verb, ``articles`` the gender that an article shows, ``alarm`` stems of
words that sound alarming, ``plain`` plainer words for some of these, ``neutral`` stand-ins by the
kind of word, ``purpose:PATTERN`` sentences of a stated purpose, and ``operator`` sentences of a
system prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from overrefusal.records import Pattern

LANGUAGES = ("en", "de", "es", "fr")
_SHORT = 3
"""Letters up to which a stem takes only short endings."""


@dataclass(frozen=True, slots=True)
class Lexicon:
    """What is known of one language; empty for a language without a file."""

    language: str
    stop: frozenset[str] = frozenset()
    particles: frozenset[str] = frozenset()
    alarm: tuple[str, ...] = ()
    """Stems; a word that begins with one sounds alarming."""
    plain: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Plainer words for a word or phrase in lower case."""
    neutral: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Stand-ins by kind of word."""
    purposes: Mapping[Pattern, str] = field(default_factory=dict)
    operator: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    infinitives: tuple[str, ...] = ()
    determiners: frozenset[str] = frozenset()
    before_verb: frozenset[str] = frozenset()
    articles: Mapping[str, str] = field(default_factory=dict)

    def alarming(self, word: str) -> bool:
        """Whether ``word`` begins with a stem that sounds alarming."""
        lower = word.lower()
        return any(
            lower.startswith(stem) and (len(stem) > _SHORT or len(lower) <= len(stem) + _SHORT)
            for stem in self.alarm
        )


def lexicon(language: str) -> Lexicon:
    """The lexicon of a language code such as ``en`` or ``pt-BR``."""
    return _load(language.lower().split("-")[0].split("_")[0])


@cache
def _load(language: str) -> Lexicon:
    if language not in LANGUAGES:
        return Lexicon(language)
    text = (files("overrefusal.diagnosis") / "lexicon" / f"{language}.txt").read_text("utf-8")
    sections: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            lines = sections.setdefault(line[1:-1], [])
        elif line:
            lines.append(line)

    def words(name: str) -> list[str]:
        return [word for line in sections[name] for word in line.split()]

    def pairs(name: str) -> dict[str, tuple[str, ...]]:
        entries = (line.split("=") for line in sections[name])
        return {key: tuple(options.split(",")) for key, options in entries}

    return Lexicon(
        language,
        frozenset(words("stop")),
        frozenset(words("particles")),
        tuple(words("alarm")),
        pairs("plain"),
        pairs("neutral"),
        {pattern: sections[f"purpose:{pattern.value}"][0] for pattern in Pattern},
        tuple(sections["operator"]),
        tuple(words("endings")),
        tuple(words("infinitives")),
        frozenset(words("determiners")),
        frozenset(words("before_verb")),
        {article: gender for article, (gender,) in pairs("articles").items()},
    )
