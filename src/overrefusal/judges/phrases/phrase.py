"""What a phrase is: a literal to look for, and what must stand around it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_BEFORE = 48
"""Characters left of the literal that a phrase may look at."""
_AFTER = 100
"""Characters right of it."""


@dataclass(frozen=True, slots=True)
class Phrase:
    """A literal, which a substring search finds fast, and what must stand around it.

    All in lower case, with straight apostrophes.
    """

    act: str
    literal: str
    before: re.Pattern[str] | None
    after: re.Pattern[str] | None


@dataclass(frozen=True, slots=True, order=True)
class Hit:
    """A phrase found in a text: ``text[start:end]``."""

    start: int
    end: int
    act: str


def phrases(act: str, literals: Iterable[str], before: str = "", after: str = "") -> list[Phrase]:
    """One phrase for each literal; ``before`` ends where it begins, ``after`` begins at its end."""
    left = re.compile(f"(?:{before})\\Z") if before else None
    right = re.compile(after) if after else None
    return [Phrase(act, literal, left, right) for literal in literals]


def find(phrase: Phrase, text: str, limit: int = 8) -> list[Hit]:
    """The first ``limit`` places where a phrase stands in ``text``, which is in lower case."""
    hits: list[Hit] = []
    at = text.find(phrase.literal)
    while at >= 0 and len(hits) < limit:
        start, end = at, at + len(phrase.literal)
        left = phrase.before.search(text, max(0, at - _BEFORE), at) if phrase.before else None
        right = phrase.after.match(text, end, end + _AFTER) if phrase.after else None
        if (phrase.before is None or left) and (phrase.after is None or right):
            start = left.start() if left else start
            end = right.end() if right else end
            hits.append(Hit(start, end, phrase.act))
        at = text.find(phrase.literal, at + len(phrase.literal))
    return hits
