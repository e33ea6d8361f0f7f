"""Text that breaks down: noise, and the same words over and over."""

from __future__ import annotations

import re
import zlib

_LETTER_RUN = re.compile(r"[^\W\d_]{30,}")
_CONSONANTS = re.compile(r"\b[bcdfghjklmnpqrstvwxzBCDFGHJKLMNPQRSTVWXZ]{6,}\b")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ue000-\uf8ff]")
_WORD = re.compile(r"\w+|[^\w\s]")
_SAME = re.compile(r"(\S)\1{11,}")
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
    if prompt_wants_repetition:
        return None
    same = _SAME.search(stripped)
    if same and same.group(1).isalnum() and len(same.group()) > 0.4 * len(stripped):
        return *whole, "one character over and over"
    words = _WORD.findall(stripped)
    if len(words) >= 24:
        ratio = len(zlib.compress(stripped.encode("utf-8", "replace"), 6)) / len(
            stripped.encode("utf-8", "replace")
        )
        lexical = [w for w in words if w[0].isalpha()]
        distinct = len(set(lexical)) / max(len(lexical), 1)
        if lexical and (distinct < 0.2 and ratio < 0.3 or distinct < 0.1):
            return *whole, "repetition"
        symbols = sum(1 for w in words if not w[0].isalnum())
        if symbols > 0.72 * len(words) and not _LINES.search(stripped):
            return *whole, "symbols without words"
    noise = _CONSONANTS.findall(stripped)
    plain = [w for w in words if w.isalpha()]
    if len(plain) >= 3 and len(noise) >= 0.3 * len(plain):
        return *whole, "letters without words"
    if _mixed_scripts(plain):
        return *whole, "scripts mixed within a sentence"
    return None


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
    changes = sum(1 for a, b in zip(scripts, scripts[1:], strict=False) if a != b)
    return len(set(scripts)) >= 3 and changes > 0.35 * len(words)
