"""One row of a suite file, read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

import orjson

from overrefusal.errors import OverrefusalError
from overrefusal.records import Expected, Message, Pattern, Prompt

FIELDS = (
    "id",
    "prompt",
    "messages",
    "system",
    "expected",
    "pattern",
    "category",
    "language",
    "contrast_of",
    "source",
    "licence",
)
_ROLES = ("user", "assistant")
# Ids are indexed, and PostgreSQL holds no more than some 2,700 bytes in an index.
_LONGEST_ID = 500

Choice = TypeVar("Choice", bound=StrEnum)


def read_row(row: Mapping[str, Any], where: str) -> Prompt:
    """The prompt that ``row`` describes.

    Fields: ``id``, ``prompt`` or ``messages``, ``expected``, and optionally ``system``,
    ``pattern``, ``category``, ``language``, ``contrast_of``, ``source``, ``licence``. An empty
    string counts as an absent field, as CSV has no other way to leave one out.

    Raises ``OverrefusalError`` naming ``where`` (file and row), the field and the mend.
    """
    unknown = [str(key) for key in row if key not in FIELDS]
    if unknown:
        raise OverrefusalError(
            f"{where}: unknown field {unknown[0]!r}; a suite has {', '.join(FIELDS)}"
        )
    prompt_id = _text(row, "id", where)
    if prompt_id is None:
        raise OverrefusalError(f"{where}: field 'id' is missing; every prompt needs its own")
    if len(prompt_id) > _LONGEST_ID:
        raise OverrefusalError(f"{where}: the id has over {_LONGEST_ID} characters; shorten it")
    where = f"{where} (id {prompt_id!r})"
    expected = _choice(row, "expected", Expected, where)
    if expected is None:
        raise OverrefusalError(f"{where}: field 'expected' is missing; write 'answer' or 'refuse'")
    return Prompt(
        id=prompt_id,
        messages=_messages(row, where),
        expected=expected,
        system=_text(row, "system", where),
        pattern=_choice(row, "pattern", Pattern, where),
        category=_text(row, "category", where),
        language=_text(row, "language", where) or "en",
        contrast_of=_text(row, "contrast_of", where),
        source=_text(row, "source", where),
        licence=_text(row, "licence", where),
    )


def to_row(prompt: Prompt) -> dict[str, Any]:
    """The row that ``read_row`` turns back into ``prompt``; absent fields are left out."""
    row: dict[str, Any] = {"id": prompt.id}
    if len(prompt.messages) == 1:
        row["prompt"] = prompt.text
    else:
        row["messages"] = [{"role": m.role, "content": m.content} for m in prompt.messages]
    row["expected"] = prompt.expected.value
    for field in ("system", "pattern", "category", "language", "contrast_of", "source", "licence"):
        value = getattr(prompt, field)
        if value is not None:
            row[field] = str(value)
    return row


def _messages(row: Mapping[str, Any], where: str) -> tuple[Message, ...]:
    text = _text(row, "prompt", where)
    turns = row.get("messages")
    if isinstance(turns, str) and turns.strip():
        # CSV can hold a conversation only as JSON within its cell.
        try:
            turns = orjson.loads(turns)
        except orjson.JSONDecodeError as error:
            raise OverrefusalError(f"{where}: field 'messages' is not JSON: {error}") from None
    if turns and text is not None:
        raise OverrefusalError(f"{where}: both 'prompt' and 'messages' are given; keep one")
    if not turns:
        if "prompt" not in row and "messages" not in row:
            raise OverrefusalError(f"{where}: field 'prompt' (or 'messages') is missing; add it")
        if text is None or not text.strip():
            raise OverrefusalError(f"{where}: the prompt is empty; write it, or take the row out")
        return (Message("user", text),)
    if not isinstance(turns, list):
        raise OverrefusalError(f"{where}: field 'messages' must be a list of turns")
    messages = []
    for number, turn in enumerate(turns, 1):
        role = turn.get("role") if isinstance(turn, dict) else None
        content = turn.get("content") if isinstance(turn, dict) else None
        if role not in _ROLES or not isinstance(content, str) or not content.strip():
            raise OverrefusalError(
                f"{where}: turn {number} of 'messages' needs a role (user or assistant) and a "
                "content that is not empty; system prompts go into 'system'"
            )
        messages.append(Message(role, content))
    if messages[-1].role != "user":
        raise OverrefusalError(f"{where}: the last turn of 'messages' must be the user's")
    return tuple(messages)


def _text(row: Mapping[str, Any], field: str, where: str) -> str | None:
    value = row.get(field)
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and field == "id":
        return str(value)
    if not isinstance(value, str):
        raise OverrefusalError(f"{where}: field {field!r} must be text, not {type(value).__name__}")
    return value


def _choice(row: Mapping[str, Any], field: str, kind: type[Choice], where: str) -> Choice | None:
    value = _text(row, field, where)
    if value is None:
        return None
    try:
        return kind(value)
    except ValueError:
        raise OverrefusalError(
            f"{where}: field {field!r} is {value!r}; it must be one of {', '.join(kind)}"
        ) from None
