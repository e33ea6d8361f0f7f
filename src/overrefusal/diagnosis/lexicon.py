"""The word lists under ``lexicon/``, one file a language.

A file has sections ``[name]``. ``stop`` are words that carry no topic, ``particles`` those that
belong to the verb before them, ``alarm`` stems of words that sound alarming, ``plain`` plainer
words for some of these, ``neutral`` stand-ins by the kind of word, ``purpose:PATTERN`` sentences of
a stated purpose, and ``operator`` sentences of a system prompt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    plain: Mapping[str, tuple[str, ...]] = ()  # type: ignore[assignment]
    """Plainer words for a word or phrase in lower case."""
    neutral: Mapping[str, tuple[str, ...]] = ()  # type: ignore[assignment]
    """Stand-ins by kind of word."""
    purposes: Mapping[Pattern, str] = ()  # type: ignore[assignment]
    operator: tuple[str, ...] = ()

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
        return Lexicon(language, plain={}, neutral={}, purposes={})
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
    )
