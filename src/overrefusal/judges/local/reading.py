"""From a response's text to tokens: what is masked, what is capped, how it is cut."""

from __future__ import annotations

import re
from dataclasses import dataclass
from zlib import crc32

from overrefusal.judges.local.lexicon import CLASSES, FUNCTION_WORDS

HEAD_CHARS = 2400
TAIL_CHARS = 600
"""Of a longer text only this much of its beginning and its end is read."""
PROMPT_CHARS = 600

_THINKING = re.compile(
    r"<(think|thinking|reasoning|thought|reflection|scratchpad|analysis)\b[^>]{0,80}>"
    r".*?(?:</\1\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_THINKING_END = re.compile(
    r"\A.*</(?:think|thinking|reasoning|thought|reflection|scratchpad|analysis)\s*>",
    re.DOTALL | re.IGNORECASE,
)
_HARMONY_FINAL = re.compile(r"\A.*<\|channel\|>\s*final\s*<\|message\|>", re.DOTALL)
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_TOKEN = re.compile(
    r"\n[ \t>]*(?:[-*•–+][ \t]+|\d{1,2}[.)][ \t]+|#+)|\n+"
    r"|[^\W\d_]+(?:['’´-][^\W\d_]+)*|\d+(?:[.,:]\d+)*|[.!?…。！？]+|[\"“”„«»「」]|[:;,]|[^\w\s]"
)

CLASS_NAMES: tuple[str, ...] = (
    # Those that no word list gives.
    "content",
    "function",
    "newline",
    "list",
    "heading",
    "end",
    "question",
    "quote",
    "colon",
    "mark",
    "number",
    "foreign",
    *CLASSES,
)
CLASS_ID: dict[str, int] = {name: i for i, name in enumerate(CLASS_NAMES)}
_LATIN_END = "ɏ"
_MOST_WORDS = 400_000


def _word_tables() -> tuple[dict[str, int], list[tuple[str, int]]]:
    exact: dict[str, int] = {}
    stems: list[tuple[str, int]] = []
    for name, words in CLASSES.items():
        for word in words.split():
            if word.endswith("*"):
                stems.append((word[:-1], CLASS_ID[name]))
            else:
                exact.setdefault(word, CLASS_ID[name])
    stems.sort(key=lambda s: -len(s[0]))
    return exact, stems


class Vocabulary(dict[str, int]):
    """Words to indices into ``hashes``, ``stems`` and ``classes``, filled as words are met."""

    def __init__(self) -> None:
        super().__init__()
        self._exact, stems = _word_tables()
        self._by_first: dict[str, list[tuple[str, int]]] = {}
        for stem, cls in stems:
            self._by_first.setdefault(stem[:3], []).append((stem, cls))
        self.hashes: list[int] = []
        self.stems: list[int] = []
        self.classes: list[int] = []

    def make_room(self) -> None:
        """Forget everything once there is too much: text without end must not fill the memory."""
        if len(self) >= _MOST_WORDS:
            self.clear()
            self.hashes.clear()
            self.stems.clear()
            self.classes.clear()

    def __missing__(self, token: str) -> int:
        index = len(self.hashes)
        # A line break with its bullet is one token whatever its blanks or number.
        cls = self._class_of(token)
        text = CLASS_NAMES[cls] if token[0] == "\n" else token
        self.hashes.append(crc32(text.encode("utf-8", "surrogatepass")))
        self.stems.append(crc32(text[:5].encode("utf-8", "surrogatepass")))
        self.classes.append(cls)
        self[token] = index
        return index

    def _class_of(self, token: str) -> int:
        first = token[0]
        if first == "\n":
            rest = token.strip("\n \t>")
            if not rest:
                return CLASS_ID["newline"]
            return CLASS_ID["heading" if rest[0] == "#" else "list"]
        if first.isalpha():
            return self._class_of_word(token)
        if first.isdigit():
            return CLASS_ID["number"]
        if first in "?？":
            return CLASS_ID["question"]
        if first in ".!…。！":
            return CLASS_ID["question" if "?" in token else "end"]
        if first in '"“”„«»「」':
            return CLASS_ID["quote"]
        return CLASS_ID["colon"] if first == ":" else CLASS_ID["mark"]

    def _class_of_word(self, word: str) -> int:
        found = self._exact.get(word)
        if found is not None:
            return found
        for stem, cls in self._by_first.get(word[:3], ()):
            if word.startswith(stem):
                return cls
        before, apostrophe, after = word.partition("'")
        if apostrophe and after:
            if len(before) <= 2 and before + "'" in self._exact:  # j'ai, n'est
                return self._exact[before + "'"]
            found = self._exact.get(before)
            if found is not None:
                return found
            if len(before) <= 2:  # l'aide, d'instructions
                return self._class_of_word(after)
        if word in FUNCTION_WORDS or len(word) == 1:
            return CLASS_ID["function"]
        if word[0] > _LATIN_END and not "Ḁ" <= word[0] <= "ỿ":
            return CLASS_ID["foreign"]
        return CLASS_ID["content"]


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read of one response: its lower-case text, with a map back to the original."""

    text: str
    start: int
    """Where in the original the text begins: what precedes it was thinking."""
    cut: int
    """Positions from here on lie ``skipped`` later in the original."""
    skipped: int
    only_thinking: bool
    code_chars: int

    def original(self, position: int) -> int:
        """The position in the response's own text."""
        return self.start + position + (self.skipped if position >= self.cut else 0)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _lower(text: str) -> str:
    lowered = text.lower()
    if len(lowered) != len(text):  # a few capitals grow when lowered; positions must hold
        lowered = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return lowered.replace("’", "'")


def read_response(text: str) -> Reading:
    """The part of a response that is judged; masked characters become blanks of equal number.

    Thinking blocks, tagged or in the harmony format, and code are masked. Of a text longer than
    ``HEAD_CHARS + TAIL_CHARS`` the middle is left out.
    """
    start = 0
    only_thinking = False
    if "<" in text:
        harmony = _HARMONY_FINAL.match(text) if "<|channel|>" in text else None
        ended = harmony or (_THINKING_END.match(text) if "</" in text else None)
        if ended:
            start = ended.end()
        masked = text[start:]
        opened = _THINKING.match(masked.lstrip())
        if opened:
            start += len(masked) - len(masked.lstrip()) + opened.end()
        only_thinking = start > 0 and not text[start:].strip()
    if start:
        while start < len(text) and text[start].isspace():
            start += 1
    kept = text[start:]
    if len(kept) > HEAD_CHARS + TAIL_CHARS:
        cut, skipped = HEAD_CHARS, len(kept) - HEAD_CHARS - TAIL_CHARS
        kept = kept[:HEAD_CHARS] + kept[-TAIL_CHARS:]
    else:
        cut, skipped = len(kept) + 1, 0
    code_chars = 0
    if "```" in kept:
        bare = _CODE.sub(_blank, kept)
        code_chars = sum(1 for a, b in zip(kept, bare, strict=True) if a != b)
        kept = bare
    return Reading(_lower(kept), start, cut, skipped, only_thinking, code_chars)


def tokens(text: str) -> list[str]:
    """Words, numbers, marks and line breaks with their bullets, in order."""
    return _TOKEN.findall("\n" + text)


def span(text: str, first: int, last: int) -> tuple[int, int]:
    """Start of token ``first`` and end of token ``last`` of ``tokens(text)``, in ``text``."""
    start = 0
    for place, match in enumerate(_TOKEN.finditer("\n" + text)):
        if place == first:
            start = max(match.start() - 1, 0)
        if place == last:
            return start, match.end() - 1
    return start, len(text)
