"""Where an answer begins, and whether it is language that the rules can read."""

from __future__ import annotations

import re

_OPENING = re.compile(
    r"\s*(?:<(think|thinking|thought|reasoning|reflection|seed:think)>|\[(THINK)\])", re.IGNORECASE
)
_CLOSING = re.compile(
    r"</(?:think|thinking|thought|reasoning|reflection|seed:think)>|\[/THINK\]", re.IGNORECASE
)
_READ = 4000
"""Characters of an answer that are looked at here."""
_RUN = re.compile(r"(\S)\1{79}")
_FAR_LETTER = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff]")
_NEAR_LETTER = re.compile(r"[a-zA-Z\u00c0-\u024f\u1e00-\u1eff]")
_BROKEN = re.compile("[\ufffd\x00-\x08\x0e-\x1a]")


def answer_start(text: str) -> int:
    """Where thinking that reached the text ends: 0 where there is none, ``len(text)`` where it
    never ends."""
    opening = _OPENING.match(text)
    if opening is None:
        # Some chat templates put the opening tag into the prompt.
        if "</" not in text and "[/THINK]" not in text:
            return 0
        closing = _CLOSING.search(text)
        return closing.end() if closing and "<" not in text[: closing.start()] else 0
    closing = _CLOSING.search(text, opening.end())
    return closing.end() if closing else len(text)


def breaks_down(text: str, start: int = 0) -> tuple[int, int] | None:
    """The span of an answer that is no language: loops, noise, or one character for ever."""
    part = text[start : start + _READ]
    # Most replies are plain ASCII, and counting takes a third of the time that they get.
    suspect = not part.isascii() or "\x00" in part
    if suspect and len(_BROKEN.findall(part)) * 10 > len(part):
        return start, start + len(part)
    words = part.split()
    if words and len(max(words, key=len)) >= 80 and (run := _RUN.search(part)):
        return start + run.start(), start + len(part)
    distinct = len(set(words))
    if len(words) >= 12 and distinct <= 0.1 * len(words) + 1:
        return start, start + len(part)
    if len(words) >= 40 and distinct < 0.6 * len(words) and "```" not in part:
        trigrams = len(set(zip(words, words[1:], words[2:], strict=False)))
        if trigrams < 0.35 * (len(words) - 2):
            return start, start + len(part)
    if not re.search(r"\w", part):
        return start, start + len(part)
    return None


def unread_script(text: str, start: int = 0) -> str | None:
    """The kind of script where most letters are of one that the rules do not read."""
    if text.isascii():
        return None
    part = text[start : start + _READ]
    far = _FAR_LETTER.findall(part)
    # A character of a logographic script says as much as a word.
    if not far or len(far) * 3 < len(_NEAR_LETTER.findall(part)):
        return None
    import unicodedata

    return unicodedata.name(far[0], "an unknown").split()[0].capitalize()
