"""Taking a model's thinking off its answer."""

from __future__ import annotations

import re

_TAGS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
# Chat templates that end with the opening tag leave only the closing one in the answer.
_PREFILLED = ("</think>", "</thinking>", "</seed:think>", "[/THINK]", "◁/think▷")
_CHANNEL = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>(\w+)[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>"
    r"(.*?)(?=<\|end\|>|<\|return\|>|<\|call\|>|<\|start\|>|<\|channel\|>|\Z)",
    re.DOTALL,
)
# gpt-oss through a server that drops special tokens.
_BARE_CHANNELS = re.compile(r"\Aanalysis(.*?)assistantfinal(.*)\Z", re.DOTALL)


def split_thinking(text: str) -> tuple[str, str | None]:
    """``(answer, thinking)`` of a model's raw text; thinking is ``None`` where there is none.

    Only blocks that open the text are thinking: a tag further down is something the answer talks
    about. A block that is never closed means that no answer was given: the answer is empty.
    Text without thinking comes back unchanged.
    """
    if not any(mark in text for mark in ("<", "[THINK]", "[/THINK]", "◁", "assistantfinal")):
        return text, None
    if "<|channel|>" in text and (channels := _CHANNEL.findall(text)):
        return _split_channels(channels)
    if bare := _BARE_CHANNELS.match(text):
        return bare[2].strip(), bare[1].strip()
    return _split_tags(text)


def _split_channels(channels: list[tuple[str, str]]) -> tuple[str, str | None]:
    final = [body for name, body in channels if name == "final"]
    thinking = [body.strip() for name, body in channels if name == "analysis"]
    return "\n".join(final).strip(), "\n".join(thinking) or None


def _split_tags(text: str) -> tuple[str, str | None]:
    thinking: list[str] = []
    rest = text
    while tag := _opening_tag(rest.lstrip()):
        opening, closing = tag
        # An unclosed block leaves nothing after it.
        inside, _, rest = rest.lstrip()[len(opening) :].partition(closing)
        thinking.append(inside.strip())
    if not thinking:
        for closing in _PREFILLED:
            opening = closing.replace("/", "", 1)
            inside, closed, after = text.partition(closing)
            if closed and opening not in inside:
                return after.strip(), inside.strip()
        return text, None
    return rest.strip(), "\n".join(thinking)


def _opening_tag(text: str) -> tuple[str, str] | None:
    return next((tag for tag in _TAGS if text.startswith(tag[0])), None)


def join_thinking(*parts: str | None) -> str | None:
    """The non-empty parts of a model's thinking, one a line; ``None`` where there are none."""
    return "\n".join(part for part in parts if part) or None
