"""Conversations as the token ids that a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from overrefusal.errors import OverrefusalError
from overrefusal.models.payload import printable
from overrefusal.records import Message

# Templates ignore what they do not know. Qwen, GLM and others read the first, DeepSeek and
# Granite the second.
_NO_THINKING = {"enable_thinking": False, "thinking": False}


def render(tokenizer: Any, messages: Sequence[Message]) -> str:
    """The text that the tokenizer's chat template makes of a conversation, an answer being due.

    Thinking is switched off where the template has a switch. Raises ``OverrefusalError`` where
    the template declines the conversation.
    """
    turns = [{"role": m.role, "content": m.content} for m in messages]
    try:
        text: str = tokenizer.apply_chat_template(
            turns, tokenize=False, add_generation_prompt=True, **_NO_THINKING
        )
    except Exception as error:  # A template is the model's own code and raises what it likes.
        raise OverrefusalError(
            f"the chat template declined the conversation ({printable(error)})"
        ) from None
    return text


def encode(tokenizer: Any, text: str) -> list[int]:
    """The token ids of a rendered prompt; its special tokens stand in the text already."""
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids
