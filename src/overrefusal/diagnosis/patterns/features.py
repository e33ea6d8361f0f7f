"""What the classifier sees of a prompt: hashed n-grams, and counts of cue words and shapes."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import pairwise
from zlib import crc32

import numpy as np

from overrefusal.records import Prompt

BUCKETS = 1 << 15
"""Of each of the two kinds of n-grams: words and pairs of words; characters, 2 to 5 in a word."""
LONGEST = 2_000
"""Characters that are read of a prompt, from its end."""
_CHARACTERS = range(2, 6)
_WORD = re.compile(r"[^\W_]+(?:['’\-+][^\W_]+)*\+*")
_NAME = re.compile(r"(?<=[\w,;:] )[^\W\d_a-z]\w+")
_YEAR = re.compile(r"\b(?:1\d{3}|20[0-2]\d)s?\b")
_DOSE = re.compile(r"\b\d+(?:[.,]\d+)?\s?(?:mg|ml|g|kg|mcg|µg|%|mm|cl)(?!\w)", re.I)
_HOW = re.compile(
    r"^(?:how (?:do|can|would|should) (?:i|we)|how to|best way|wie (?:kann )?\w+ ich|cómo|"
    r"comment)\b"
)
_HOW_DID = re.compile(r"\b(?:how|why|what|who) (?:did|was|were|had)\b")
_AS_A = re.compile(r"\b(?:i'm|i am|as) an? \w+|\bals \w+(?:in|er)\b|\bsoy \w+|\bje suis \w+")
_FOR_A = re.compile(
    r"\b(?:for|für|para|pour) (?:an?|my|our|the|mein\w*|ein\w*|une?|mi|mon|ma|un) (?:\w+ )?"
    r"(?:novel|story|play|game|podcast|article|paper|exhibition|museum|class|thesis|exam|course|"
    r"roman|artikel|ausstellung|novela|artículo|reportaje|polar)"
)
_ROLE = re.compile(r"^(?:you are|you're|be an?|play|act as|pretend|du bist|eres|tu es)\b")
_OURS = re.compile(
    r"\b(?:my|our|mein\w*|unser\w*|mi|nuestr\w|mon|notre) (?:\w+ )?(?:patient|client|lab|team|ward|"
    r"student|trainee|mandant|paciente|cliente)"
)
_SHAPES = 12


def text_of(prompt: Prompt) -> str:
    """What is read: the system prompt and all turns."""
    turns = [message.content for message in prompt.messages]
    marked = [f"[system] {prompt.system}"] if prompt.system else []
    return " ".join([*marked, *turns])[-LONGEST:]


def ngrams(text: str) -> dict[int, float]:
    """1 + log of the count of each n-gram by its bucket, 0 to 2 * ``BUCKETS`` - 1."""
    counts = Counter(
        half * BUCKETS + crc32(gram.encode("utf-8", "replace")) % BUCKETS
        for half, gram in _grams(text)
    )
    return {bucket: 1 + math.log(count) for bucket, count in counts.items()}


def cues(text: str) -> np.ndarray:
    """(2 * classes of cue words + shapes,) in float64: presence and log count of each class."""
    words = [word.lower() for word in _WORD.findall(text)]
    values: list[float] = []
    for whole, stems in _classes():
        count = sum(word in whole or word.startswith(stems) for word in words)
        values += [float(count > 0), math.log1p(count)]
    body = text.split("[system] ", 1)[-1]
    low = body.lower()
    values += [
        math.log1p(len(_NAME.findall(body))),
        float(bool(_YEAR.search(body))),
        float(bool(_DOSE.search(body))),
        math.log1p(body.count("?")),
        float(body[:1].islower()),
        math.log1p(len(words)),
        float(bool(_HOW.search(low))),
        float(bool(_HOW_DID.search(low))),
        float(bool(_AS_A.search(low))),
        float(bool(_FOR_A.search(low))),
        float(bool(_ROLE.search(low))),
        float(bool(_OURS.search(low))),
    ]
    return np.array(values)


def width() -> int:
    """How many values ``cues`` gives."""
    return 2 * len(_classes()) + _SHAPES


def _grams(text: str) -> Iterator[tuple[int, str]]:
    words = [word.lower() for word in _WORD.findall(text)]
    for word in words:
        yield 0, word
        padded = f" {word} "
        for size in _CHARACTERS:
            for start in range(len(padded) - size + 1):
                yield 1, padded[start : start + size]
    for pair in pairwise(words):
        yield 0, " ".join(pair)


@cache
def _classes() -> tuple[tuple[frozenset[str], tuple[str, ...]], ...]:
    """Whole words and stems of each class of cue words, in the file's order."""
    text = (files("overrefusal.diagnosis") / "patterns" / "cues.txt").read_text("utf-8")
    classes: list[tuple[set[str], list[str]]] = []
    for line in text.splitlines():
        if line.startswith("["):
            classes.append((set(), []))
            continue
        for word in line.split():
            if word.endswith("*"):
                classes[-1][1].append(word[:-1])
            else:
                classes[-1][0].add(word)
    return tuple((frozenset(whole), tuple(stems)) for whole, stems in classes)
