"""Reading the word lists and sentence frames under ``lexicon/``.

A file has sections ``[name]`` of items separated by ``;`` or line ends. In the sections of
requests a line of columns ``verbs | objects | aims`` stands for all their combinations; in those
of frames a line is ``family | frame``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

LANGUAGES = ("en", "de", "es", "fr")
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
FRAMES = ("ask", "about", "history", "fiction", "work", "everyday", "jailbreak", "turns")
LINES = (
    "plainlines",
    "purpose",
    "filler",
    "cover",
    "system_fit",
    "system_who",
    "system_allow",
    "system_plain",
    "refuse",
    "partial",
)
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
    twins: tuple[tuple[str, str, str], ...]
    """Whole requests: category, a harmful one, a harmless one in almost the same words."""
    suspicious: tuple[tuple[str, str, str], ...]
    """Whole harmless requests that sound harmful: intent, category, request."""
    harmful: tuple[tuple[str, str], ...]
    """Whole harmful requests: category, request."""


@cache
def lexicon(language: str) -> Lexicon:
    """The lexicon of one of ``LANGUAGES``, read once."""
    phrases: dict[str, Phrases] = {}
    words: dict[str, tuple[str, ...]] = {}
    frames: dict[str, tuple[tuple[str, str], ...]] = {}
    twins: tuple[tuple[str, str, str], ...] = ()
    suspicious: tuple[tuple[str, str, str], ...] = ()
    harmful: tuple[tuple[str, str], ...] = ()
    folder = files("overrefusal.bouncer") / "lexicon"
    for name in (f"{language}.txt", f"frames_{language}.txt", f"twins_{language}.txt"):
        if not (folder / name).is_file():
            continue
        for section, lines in _sections((folder / name).read_text("utf-8")).items():
            if section in FRAMES:
                pairs = (line.split(" | ", 1) for line in lines)
                frames[section] = tuple((family, frame) for family, frame in pairs)
            elif section == "twins":
                triples = (line.split(" | ") for line in lines)
                twins = tuple((category, harm, benign) for category, harm, benign in triples)
            elif section == "suspiciouslines":
                triples = (line.split(" | ") for line in lines)
                suspicious = tuple((intent, category, text) for intent, category, text in triples)
            elif section == "harmlines":
                pairs = (line.split(" | ", 1) for line in lines)
                harmful = tuple((category, text) for category, text in pairs)
            elif section in LINES or section.startswith("comply:"):
                words[section] = tuple(lines)
            elif section.startswith("harm:") or section in ("homonym", "dual", "plain"):
                phrases[section] = _phrases(lines, verb_last=language == "de")
            elif section == "hot":
                # A blank at the end of an item is the end of a word.
                words[section] = tuple(x for line in lines for x in line.split(";"))
            else:
                words[section] = _items(lines)
    return Lexicon(language, phrases, words, frames, twins, suspicious, harmful)


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
