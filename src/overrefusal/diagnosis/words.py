"""A prompt cut into the units that are taken out or replaced as a whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from overrefusal.diagnosis.lexicon import Lexicon, lexicon

_TOKEN = re.compile(r"[^\W_]+(?:['’.\-][^\W_]+)*")
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff]+"
)
_PIECE = 2
"""Characters of a unit in a script that puts no spaces between words."""
_CLOSING = ".,;:!?)"
"""Marks, or the text's end, before which no space is left."""
_POSSESSIVE = re.compile(r"['’]s?$")
_STEM = 3
"""Letters that an ending leaves at least."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One word, phrasal verb or name: ``text[start:end]`` of the prompt, in code points."""

    start: int
    end: int
    text: str
    alarming: bool

    @property
    def words(self) -> list[str]:
        """Its words in lower case, possessive endings off."""
        return [_POSSESSIVE.sub("", w).lower() for w in self.text.split()]


def units(text: str, lex: Lexicon) -> list[Unit]:
    """The content units of ``text`` in order: words that carry no topic are left out.

    A verb that sounds alarming takes its particle along (*blow up*), and a name all its words
    (*Jim Crow*); in German, where every noun has a capital, each word stands alone.
    """
    tokens = list(_tokens(text))
    found: list[Unit] = []
    i = 0
    while i < len(tokens):
        start, end = tokens[i]
        word = text[start:end]
        lower = _POSSESSIVE.sub("", word).lower()
        letter = len(lower) == 1 and lower.isalpha()
        if letter or lower in lex.stop or word.lower() in lex.stop:
            i += 1
            continue
        alarming = lex.alarming(word)
        following = i + 1
        if following < len(tokens) and text[end : tokens[following][0]] == " ":
            after = text[slice(*tokens[following])]
            phrase = f"{lower} {after.lower()}"
            if phrase in lex.plain or (alarming and after.lower() in lex.particles):
                end, following = tokens[following][1], following + 1
        if lex.language != "de" and following == i + 1 and is_name(text, start, word):
            while (
                following < len(tokens)
                and text[end : tokens[following][0]] == " "
                and not _POSSESSIVE.search(text[start:end])
            ):
                after = text[slice(*tokens[following])]
                if not (after[0].isupper() or after[0].isdigit()) or after.lower() in lex.stop:
                    break
                end, following = tokens[following][1], following + 1
        found.append(Unit(start, end, text[start:end], alarming))
        i = following
    return found


def is_name(text: str, start: int, word: str) -> bool:
    """Whether a capital here cannot come from the beginning of a sentence."""
    before = text[:start].rstrip(" \"'“«¿¡(")
    return word[0].isupper() and bool(before) and before[-1] not in ".!?:\n"


def without(text: str, removed: Collection[Unit]) -> str:
    """``text`` without these units, its spacing mended."""
    return replaced(text, [(unit, "") for unit in removed])


def replaced(text: str, changes: Iterable[tuple[Unit, str]]) -> str:
    """``text`` with units replaced; one that is replaced by nothing takes a space along."""
    out, at = "", 0
    for unit, new in sorted(changes, key=lambda change: change[0].start):
        if unit.text[:1].isupper():
            new = new[:1].upper() + new[1:]
        out += text[at : unit.start]
        at = unit.end
        if not new and (not out or out[-1].isspace()):
            if text[at : at + 1].isspace():
                at += 1
            elif text[at : at + 1] in _CLOSING:
                out = out[:-1]
        out += new
    changed = (out + text[at:]).strip()
    # A text whose first word went begins with a capital again.
    return changed[:1].upper() + changed[1:] if text[:1].isupper() else changed


def fold(word: str, language: str) -> str:
    """A word without its ending, so that *kill*, *kills* and *killing* are one."""
    lower = _POSSESSIVE.sub("", word).lower()
    for ending in lexicon(language).endings:
        if lower.endswith(ending) and len(lower) - len(ending) >= _STEM:
            stem = lower[: -len(ending)]
            # hitting, stabbed: the doubled letter belongs to the ending; kill and miss keep theirs.
            if language == "en" and stem[-1:] == stem[-2:-1] and stem[-1] not in "lsz":
                stem = stem[:-1]
            return stem
    return lower


def _tokens(text: str) -> Iterable[tuple[int, int]]:
    for match in _TOKEN.finditer(text):
        at = match.start()
        for run in _UNSPACED.finditer(match.group()):
            start, end = match.start() + run.start(), match.start() + run.end()
            if at < start:
                yield at, start
            for piece in range(start, end, _PIECE):
                yield piece, min(piece + _PIECE, end)
            at = end
        if at < match.end():
            yield at, match.end()


def by_suspicion(found: Sequence[Unit]) -> list[int]:
    """Indices of units, the likely triggers first: alarming ones, then the longer and rarer."""
    return sorted(
        range(len(found)),
        key=lambda i: (not found[i].alarming, -len(found[i].text), i),
    )
