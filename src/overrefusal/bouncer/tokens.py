"""Bouncer's tokenizer: byte-level BPE over words, in plain Python.

It reads the ``tokenizer.json`` that transformers reads and gives the same ids. The classes of
characters are explicit ranges, so that both regular-expression engines mean the same by them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from overrefusal.errors import OverrefusalError
from overrefusal.records import Message

LETTERS = "A-Za-z\u00c0-\u1fff\u2070-\u2fff\u3040-\U0010ffff"
WORD = f"[{LETTERS}]+|[0-9]|[^ \\t\\r\\n0-9{LETTERS}]+"
PATTERN = " ?(?:" + WORD + ")|[ \\t\\r\\n]"
SPECIAL = ("<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
END = 1
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def render(messages: Sequence[Message]) -> str:
    """The text that the chat template makes of a conversation, an answer being due."""
    turns = "".join(f"<|{m.role}|>{m.content}<|end|>" for m in messages)
    return turns + "<|assistant|>"


class Tokenizer:
    """Text to ids and back.

    Raises:
        OverrefusalError: the file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            model = json.loads(path.read_text("utf-8"))["model"]
        except (OSError, ValueError, KeyError, TypeError) as e:
            raise OverrefusalError(
                f"{path}: missing or damaged ({type(e).__name__}); install overrefusal again"
            ) from e
        self._ids: dict[str, int] = model["vocab"]
        pairs = (m.split(" ") if isinstance(m, str) else m for m in model["merges"])
        self._ranks = {(a, b): rank for rank, (a, b) in enumerate(pairs)}
        self._texts = {i: s for s, i in self._ids.items()}
        self._special = {s: i for i, s in enumerate(SPECIAL)}
        self._splitter = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")
        self._words = re.compile(PATTERN)
        self._to_char = _byte_characters()
        self._to_byte = {c: b for b, c in enumerate(self._to_char)}
        self._word = lru_cache(20_000)(self._merge)

    def encode(self, text: str) -> list[int]:
        """Ids of ``text``, in which the special tokens are recognised."""
        out: list[int] = []
        for part in self._splitter.split(text):
            if part in self._special:
                out.append(self._special[part])
            else:
                for match in self._words.finditer(part):
                    out += self._word(match.group())
        return out

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ``ids`` without the special tokens; broken UTF-8 becomes U+FFFD."""
        text = "".join(self._texts[i] for i in ids if i >= len(SPECIAL))
        return bytes(self._to_byte[c] for c in text).decode("utf-8", errors="replace")

    def _merge(self, word: str) -> list[int]:
        """The merges of Sennrich et al. (2016), lowest rank first."""
        parts = [self._to_char[b] for b in word.encode("utf-8", errors="replace")]
        while len(parts) > 1:
            ranked = [
                (self._ranks.get((a, b), 1 << 60), i) for i, (a, b) in enumerate(pairwise(parts))
            ]
            rank, i = min(ranked)
            if rank == 1 << 60:
                break
            parts[i : i + 2] = [parts[i] + parts[i + 1]]
        return [self._ids[p] for p in parts]


def _byte_characters() -> list[str]:
    """A printable character for each byte, as GPT-2's byte-level BPE has it."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    out = {b: chr(b) for b in printable}
    for b in range(256):
        if b not in out:
            out[b] = chr(256 + len(out) - len(printable))
    return [out[b] for b in range(256)]
