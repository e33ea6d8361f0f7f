"""Reading the word lists and sentence frames under ``lexicon/``.

A file has sections ``[name]`` of items separated by ``;`` or line ends. In the sections of
requests a line of columns ``verbs | objects | aims`` stands for all their combinations; in those
of frames a line is ``family | frame``.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal
from zlib import crc32

LANGUAGES = ("en", "de", "es", "fr")
Part = Literal["natural", "rated", "unseen"]
"""Who sees a whole sentence: all of training, the raters of stage two only, or nobody."""
CATEGORIES = (
    "weapons",
    "drugs",
    "hacking",
    "fraud",
    "violence",
    "self_harm",
    "hate",
    "sexual",
    "privacy",
    "theft",
    "misinformation",
    "extremism",
    "chemical",
    "legal",
    "workplace",
    "animals",
    "medical",
    "environment",
    "driving",
)
FRAMES = (
    "ask",
    "about",
    "history",
    "fiction",
    "work",
    "everyday",
    "jailbreak",
    "turns",
    "against:safety",
    "against:topic",
    "against:history",
    "against:work",
)
LINES = (
    "purpose",
    "malice",
    "filler",
    "cover",
    "system_fit",
    "system_who",
    "system_allow",
    "system_plain",
    "refuse",
    "partial",
)
HELD_OUT_PERCENT = 15
"""Share of the whole sentences that training never sees."""
RATED_PERCENT = 15
"""Share of them that only the raters of stage two see: what the model makes of sentences it has
not been trained to read."""
GERMAN_CLAUSES = ("um ", "damit ", "ohne dass ", "und ", "obwohl ")


@dataclass(frozen=True, slots=True)
class Phrase:
    """An infinitive phrase and the words that a reply names it by."""

    text: str
    key: str


@dataclass(frozen=True, slots=True)
class Combination:
    """All phrases of the form verb, object, aim; an aim is optional."""

    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    aims: tuple[str, ...]
    verb_last: bool

    def draw(self, rng: random.Random) -> Phrase:
        """One of the phrases."""
        verb, obj = rng.choice(self.verbs), rng.choice(self.objects)
        aim = rng.choice(self.aims) if self.aims and rng.random() < 0.45 else ""
        if not self.verb_last:
            return Phrase(f"{verb} {obj} {aim}".strip(), obj)
        if aim.startswith(GERMAN_CLAUSES):
            comma = "" if aim.startswith("und ") else ","
            return Phrase(f"{obj} {verb}{comma} {aim}", obj.rstrip(","))
        return Phrase(" ".join(f"{obj} {aim} {verb}".split()), obj.rstrip(","))


@dataclass(frozen=True, slots=True)
class Phrases:
    """A section of requests: whole phrases and combinations."""

    whole: tuple[str, ...]
    combinations: tuple[Combination, ...]

    def draw(self, rng: random.Random) -> Phrase:
        """One phrase; a combination weighs as much as sixteen whole phrases."""
        n = len(self.whole)
        i = rng.randrange(n + 16 * len(self.combinations))
        if i < n:
            text = self.whole[i]
            return Phrase(
                text, " ".join(text.split()[-4:]) if i % 2 else " ".join(text.split()[:4])
            )
        return self.combinations[(i - n) // 16].draw(rng)


@dataclass(frozen=True, slots=True)
class Line:
    """A whole sentence as people write it."""

    intent: str
    """A key of ``grammar.PATTERNS``, ``plain`` or ``harm``."""
    category: str
    text: str
    part: Part


@dataclass(frozen=True, slots=True)
class Lexicon:
    """Everything the grammar knows of one language."""

    language: str
    phrases: dict[str, Phrases]
    """By section: ``harm:CATEGORY``, ``homonym``, ``dual``, ``plain``."""
    words: dict[str, tuple[str, ...]]
    """By section: ``topic:CATEGORY``, ``nouns``, ``professions``, ``purposes``, ``hot`` and the
    sections of whole lines."""
    frames: dict[str, tuple[tuple[str, str], ...]]
    """By section: pairs of family and frame."""
    lines: tuple[Line, ...]
    """Whole requests; the harmful and the harmless one of a pair are held out together."""


@cache
def lexicon(language: str) -> Lexicon:
    """The lexicon of one of ``LANGUAGES``, read once."""
    phrases: dict[str, Phrases] = {}
    words: dict[str, tuple[str, ...]] = {}
    frames: dict[str, tuple[tuple[str, str], ...]] = {}
    lines: list[Line] = []
    folder = files("overrefusal.bouncer") / "lexicon"
    for name in (f"{language}.txt", f"frames_{language}.txt", f"twins_{language}.txt"):
        if not (folder / name).is_file():
            continue
        for section, items in _sections((folder / name).read_text("utf-8")).items():
            if section in FRAMES:
                pairs = (line.split(" | ", 1) for line in items)
                frames[section] = tuple((family, frame) for family, frame in pairs)
            elif section in ("twins", "plainlines", "suspiciouslines", "harmlines"):
                lines += (line for item in items for line in _lines(section, item))
            elif section in LINES or section.startswith("comply:"):
                words[section] = tuple(items)
            elif section.startswith("harm:") or section in ("homonym", "dual", "plain"):
                phrases[section] = _phrases(items, verb_last=language == "de")
            elif section in ("hot", "warm"):
                # A blank at the end of an item is the end of a word.
                words[section] = tuple(x for line in items for x in line.split(";"))
            else:
                words[section] = _items(items)
    return Lexicon(language, phrases, words, frames, tuple(lines))


def _lines(section: str, item: str) -> Iterator[Line]:
    fields = item.split(" | ")
    draw = crc32(fields[-1].encode()) % 100 - HELD_OUT_PERCENT
    part: Part = "unseen" if draw < 0 else "rated" if draw < RATED_PERCENT else "natural"
    if section == "twins":
        category, harm, benign = fields
        yield Line("harm", category, harm, part)
        yield Line("safety", category, benign, part)
    elif section == "harmlines":
        yield Line("harm", fields[0], fields[1], part)
    elif section == "suspiciouslines":
        yield Line(fields[0], fields[1], fields[2], part)
    else:
        yield Line("plain", "everyday", item, part)


def _sections(text: str) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("[") and line.endswith("]") and " " not in line:
            lines = out.setdefault(line[1:-1], [])
        elif line.strip():
            lines.append(line)
    return out


def _items(lines: list[str]) -> tuple[str, ...]:
    return tuple(x.strip() for line in lines for x in line.split(";"))


def _phrases(lines: list[str], verb_last: bool) -> Phrases:
    whole: list[str] = []
    combinations: list[Combination] = []
    for line in lines:
        columns = line.split(" | ")
        if len(columns) == 1:
            whole += _items([line])
        else:
            verbs, objects, *aims = (_items([c]) for c in columns)
            combinations.append(Combination(verbs, objects, aims[0] if aims else (), verb_last))
    return Phrases(tuple(whole), tuple(combinations))
