"""Thinking is taken off the answer, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal.models.thinking import split_thinking

ANSWERED = [
    "<think>Is it safe?</think>Yes.",
    "<think>\nIs it safe?\n</think>\n\nYes.",
    "  \n<thinking>Is it safe?</thinking> Yes.",
    "<thought>Is it safe?</thought>Yes.",
    "<reasoning>Is it safe?</reasoning>\nYes.",
    "<seed:think>Is it safe?</seed:think>Yes.",
    "[THINK]Is it safe?[/THINK]Yes.",
    "◁think▷Is it safe?◁/think▷Yes.",
    "<|START_THINKING|>Is it safe?<|END_THINKING|>Yes.",
    "<|channel|>analysis<|message|>Is it safe?<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
    "<|start|>assistant<|channel|>analysis<|message|>Is it safe?<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Yes.",
    "analysisIs it safe?assistantfinalYes.",
    # The template wrote the opening tag.
    "Is it safe?\n</think>\n\nYes.",
    "Is it safe?[/THINK]Yes.",
]


@pytest.mark.parametrize("text", ANSWERED)
def test_split(text: str) -> None:
    assert split_thinking(text) == ("Yes.", "Is it safe?")


@pytest.mark.parametrize(
    "text",
    [
        "<think>Is it",
        "<thinking>\nIs it",
        "[THINK]Is it",
        "◁think▷Is it",
        "<|channel|>analysis<|message|>Is it",
    ],
)
def test_an_unclosed_block_is_no_answer(text: str) -> None:
    assert split_thinking(text) == ("", "Is it")


def test_several_and_empty_blocks() -> None:
    assert split_thinking("<think>a</think><think>b</think>c") == ("c", "a\nb")
    assert split_thinking("<think></think>Yes.") == ("Yes.", "")
    assert split_thinking("<think>a</think>") == ("", "a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes.",
        "  Yes.\n",
        "I think <b>so</b>, and 1 < 2.",
        "Use the <think> tag: <think>like this</think>.",
        "In HTML, write <thinking>.",
        "The token <|channel|> opens a channel.",
        "[THINKING] is no tag",
    ],
)
def test_text_without_thinking_comes_back_unchanged(text: str) -> None:
    assert split_thinking(text) == (text, None)


@given(st.text(), st.text(alphabet=st.characters(exclude_characters="<>[]◁▷|")))
def test_any_answer_survives_any_thinking(answer: str, thinking: str) -> None:
    text, thought = split_thinking(f"<think>{thinking}</think>{answer}")
    if not answer.lstrip().startswith(("<", "[", "◁")):
        assert text == answer.strip()
        assert thought == thinking.strip()


_PIECES = st.sampled_from(["a", "b ", "\n", "<think>", "</think>", "[THINK]", "[/THINK]"])


@given(st.lists(_PIECES).map("".join))
def test_nothing_is_made_up(text: str) -> None:
    answer, thinking = split_thinking(text)
    assert answer in text
    for line in (thinking or "").split("\n"):
        assert line in text
