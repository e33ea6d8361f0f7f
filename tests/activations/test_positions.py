"""Positions are named: the last instruction token, and each token of the template behind it."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from overrefusal.activations.positions import Position, find_positions  # noqa: E402
from overrefusal.bouncer import folder  # noqa: E402
from overrefusal.bouncer.tokens import Tokenizer, render  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from overrefusal.records import Message  # noqa: E402


def characters(before, after):
    return lambda user: [ord(c) for c in before + user + after]


def test_every_token_behind_the_instruction_has_a_name():
    found = find_positions(characters("<u>", "</u>\nA:"), chr)
    assert found[0] == Position("instruction", -8, "")
    assert [p.name for p in found[1:]] == [f"post_{i}" for i in range(1, 8)]
    assert "".join(p.token for p in found[1:]) == "</u>\nA:"
    assert [p.offset for p in found] == list(range(-8, 0))


def test_a_template_that_puts_nothing_behind_leaves_the_instruction_only():
    assert find_positions(characters("Q: ", ""), chr) == (Position("instruction", -1, ""),)


def test_a_token_that_some_texts_merge_with_the_template_is_no_position_of_it():
    # "?" and the line break are one token here, as in many byte-pair vocabularies.
    def encode(user):
        return [999 if pair == "?\n" else ord(pair[0]) for pair in _pairs(user + "\nA")]

    assert [p.token for p in find_positions(encode, chr)[1:]] == ["A"]


def _pairs(text):
    i = 0
    while i < len(text):
        step = 2 if text[i : i + 2] == "?\n" else 1
        yield text[i : i + step]
        i += step


def test_bouncers_positions_are_the_end_of_the_turn_and_the_assistants_mark():
    tokenizer = Tokenizer(folder.BUNDLED / "tokenizer.json")
    names = {1: "<|end|>", 4: "<|assistant|>"}
    found = find_positions(
        lambda user: tokenizer.encode(render([Message("user", user)])), names.__getitem__
    )
    assert [(p.offset, p.token) for p in found] == [
        (-3, ""),
        (-2, "<|end|>"),
        (-1, "<|assistant|>"),
    ]


def test_a_template_without_the_users_text_is_an_error():
    with pytest.raises(OverrefusalError, match="leaves the user's text out"):
        find_positions(lambda user: [1, 2, 3], str)
