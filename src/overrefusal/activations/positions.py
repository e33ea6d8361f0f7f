"""Which token positions of a prompt are looked at, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from overrefusal.errors import OverrefusalError

INSTRUCTION = "instruction"
"""The last token of the user's text."""
# They end differently, so that no token of theirs passes for one of the template's.
_TEXTS = ("What is a lark", "Name the colours of 1984", "Is it late?", "Tell me why.", "(a) \u00fc")


@dataclass(frozen=True, slots=True)
class Position:
    """A position, counted from the end of the prompt."""

    name: str
    """``instruction``, or ``post_1``, ``post_2``, ... for the template's tokens behind it."""
    offset: int
    """-1 is the prompt's last token."""
    token: str
    """The text of the template's token; empty for the instruction's, which differs by prompt."""


def find_positions(
    encode: Callable[[str], Sequence[int]], text: Callable[[int], str]
) -> tuple[Position, ...]:
    """The last instruction token and each token that the chat template puts behind it, in order.

    ``encode`` gives the token ids of a prompt that consists of one user text, an answer being due;
    ``text`` the text of one token. Raises ``OverrefusalError`` where the prompts do not differ.
    """
    reversed_ids = [[*reversed(encode(user))] for user in _TEXTS]
    alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(*reversed_ids, strict=False))
    behind = [tokens[0] for tokens in alike]
    if any(len(ids) == len(behind) for ids in reversed_ids):
        raise OverrefusalError(
            "the chat template leaves the user's text out of the prompt, so no position in it can "
            "be found"
        )
    post = [
        Position(f"post_{i}", i - len(behind) - 1, text(token))
        for i, token in enumerate(reversed(behind), 1)
    ]
    return (Position(INSTRUCTION, -len(behind) - 1, ""), *post)
