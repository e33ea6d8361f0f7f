"""Text that breaks down: noise, and the same words over and over."""

from __future__ import annotations

import re
import zlib
from itertools import pairwise

_CONSONANTS = re.compile(r"\b[bcdfghjklmnpqrstvwxzBCDFGHJKLMNPQRSTVWXZ]{6,}\b")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")
_MARK = re.compile(r"[^\w\s]")
_SAMPLE = 400
_LINES = re.compile(r"[-=_*#~.+|\s]{12,}")


def breakdown(text: str, prompt_wants_repetition: bool = False) -> tuple[int, int, str] | None:
    """Start and end of the span that breaks down, and how; ``None`` for ordinary text.

    ``text`` is what is read of the response, with masked parts blank.
    """
    stripped = text.strip()
    if not stripped:
        return None
    at = text.index(stripped[0])
    whole = (at, at + len(stripped))
    control = _CONTROL.findall(stripped)
    if len(control) > 0.05 * len(stripped) or len(control) >= 8:
        return *whole, "control characters"
    chunks = stripped.split()
    if not prompt_wants_repetition and _repeats(stripped, chunks):
        return *whole, "repetition"
    marks = len(_MARK.findall(stripped))
    if marks > 24 and marks > 0.6 * sum(map(len, chunks)) and not _LINES.search(stripped):
        return *whole, "symbols without words"
    noise = _CONSONANTS.findall(stripped[:_SAMPLE])
    if len(noise) >= 3 and len(noise) >= 0.3 * len(stripped[:_SAMPLE].split()):
        return *whole, "letters without words"
    if not stripped.isascii() and _mixed_scripts([w for w in chunks if w[0].isalpha()]):
        return *whole, "scripts mixed within a sentence"
    return None


def _repeats(text: str, chunks: list[str]) -> bool:
    if len(chunks) < 3 and len(text) >= 30 and text[0].isalnum() and len(set(text)) <= 2:
        return True
    if len(chunks) < 24:
        return False
    distinct = len(set(chunks)) / len(chunks)
    if distinct >= 0.22:
        return False
    encoded = text.encode("utf-8", "replace")
    return distinct < 0.1 or len(zlib.compress(encoded, 6)) < 0.3 * len(encoded)


def _script(word: str) -> str:
    code = ord(word[0])
    if code < 0x250:
        return "latin"
    if 0x370 <= code < 0x400:
        return "greek"
    if 0x400 <= code < 0x530:
        return "cyrillic"
    if 0x590 <= code < 0x600:
        return "hebrew"
    if 0x600 <= code < 0x780:
        return "arabic"
    if 0x900 <= code < 0xE00:
        return "indic"
    return "other" if code < 0x2E80 else "cjk"


def _mixed_scripts(words: list[str]) -> bool:
    if len(words) < 10 or all(ord(w[0]) < 0x250 for w in words):
        return False
    scripts = [_script(w) for w in words]
    changes = sum(1 for a, b in pairwise(scripts) if a != b)
    return len(set(scripts)) >= 3 and changes > 0.35 * len(words)
