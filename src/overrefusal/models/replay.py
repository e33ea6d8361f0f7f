"""Recorded responses as a model: any log can be scored."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

import orjson

from overrefusal.errors import OverrefusalError
from overrefusal.models.rows import read_rows
from overrefusal.models.signals import ACTORS, TRUNCATED
from overrefusal.models.thinking import join_thinking, split_thinking
from overrefusal.records import Actor, Message, Request, Response

_ACTOR_NAMES = {actor.value: actor for actor in Actor}
_REWORDED = 0.7
"""Two prompts under one id that share less of their letters than this are two prompts."""
_TRUE = {"true", "1", "yes"}


@dataclass(frozen=True, slots=True)
class _Row:
    where: str
    prompt_id: str | None
    text: str | None
    sample: int | None
    packed: bytes
    """As JSON, which takes a fraction of the room of a dictionary."""
    model: str | None


class ReplayModel:
    """Answers from a file of recorded responses, never from anything else.

    A row is found by its ``prompt_id`` (or ``id``), else by the exact text of its ``prompt`` (or
    ``messages``). Its answer is ``response`` (or ``completion``); several samples of a prompt are
    told apart by ``sample``, else by their order. What is optional: ``finish_reason``,
    ``refusal``, ``actor``, ``categories``, ``thinking``, ``truncated``, ``error``, ``model``,
    ``input_tokens``, ``output_tokens``, ``latency_s``, ``cost_usd``. A prompt that was not
    recorded gets a response whose ``error`` says so.
    """

    keyed_by_id = True

    def __init__(self, path: str | Path) -> None:
        """Reads the log at ``path``; raises ``OverrefusalError`` naming the row at fault."""
        self.path = Path(path)
        self.spec = f"replay/{path}"
        rows = [self._packed(number, row) for number, row in read_rows(self.path)]
        self._check_one_model(rows)
        # Logs count samples from 0 or from 1.
        first = min((r.sample for r in rows if r.sample is not None), default=0)
        self._by_id: dict[str, dict[int, bytes]] = {}
        self._by_text: dict[str, dict[int, bytes]] = {}
        for row in rows:
            sample = None if row.sample is None else row.sample - first
            if row.prompt_id is not None:
                if not _add(self._by_id, row.prompt_id, sample, row.packed):
                    raise OverrefusalError(f"{row.where}: this sample was recorded before")
                # The same text may stand under several ids: later ones are further samples.
                if row.text is not None and not _add(self._by_text, row.text, sample, row.packed):
                    _add(self._by_text, row.text, None, row.packed)
            elif row.text is not None and not _add(self._by_text, row.text, sample, row.packed):
                raise OverrefusalError(f"{row.where}: this sample was recorded before")
        with self.path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        self.identity = f"{self.spec}#{digest}"

    async def answer(self, request: Request) -> Response:
        """The recorded response to ``request``; ``error`` is set where there is none."""
        turns = [m for m in request.messages if m.role != "system"]
        text = _conversation(turns)
        found = self._by_id.get(request.prompt_id)
        other = False
        if found is not None:
            recorded = recorded_prompt(orjson.loads(next(iter(found.values()))))
            other = recorded is not None and not _alike(recorded, text, turns[-1].content)
        if found is None or other:
            found = self._by_text.get(text)
        if found is None:
            return Response(
                error=f"{self.path} records another prompt under the id {request.prompt_id!r}; "
                "leave its prompt column out to match by id alone"
                if other
                else f"{self.path} records no response to prompt {request.prompt_id!r}"
            )
        packed = found.get(request.sample)
        if packed is None:
            return Response(
                error=f"{self.path} records no sample {request.sample} of prompt "
                f"{request.prompt_id!r}; it has {len(found)}"
            )
        return recorded_response(orjson.loads(packed))

    async def close(self) -> None:
        """Nothing is held open."""

    def _packed(self, number: int, row: dict[str, Any]) -> _Row:
        where = f"{self.path}, row {number}"
        if _answer_column(row) is None and not _text(row, "error"):
            raise OverrefusalError(f"{where}: no response; name its column 'response'")
        prompt_id, text = _prompt_id(row), recorded_prompt(row)
        if prompt_id is None and text is None:
            raise OverrefusalError(
                f"{where}: nothing to find it by; add a column 'prompt_id' or 'prompt'"
            )
        sample = _int(row, "sample")
        if sample is None and row.get("sample") not in (None, ""):
            raise OverrefusalError(f"{where}: sample {row['sample']!r} is no whole number")
        packed = orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS)
        return _Row(where, prompt_id, text, sample, packed, _text(row, "model"))

    def _check_one_model(self, rows: Sequence[_Row]) -> None:
        """One model's answer to a prompt is no further sample of another's."""
        seen: dict[tuple[str | None, str | None], str] = {}
        for row in rows:
            if row.model is None or row.sample is not None:
                continue
            other = seen.setdefault((row.prompt_id, row.text), row.model)
            if other != row.model:
                raise OverrefusalError(
                    f"{row.where}: this prompt has a response of the model {other!r} already and "
                    f"here one of {row.model!r}; split the file by its column 'model', or number "
                    "the rows of a prompt in a column 'sample'"
                )


def recorded_prompt(row: dict[str, Any]) -> str | None:
    """What a row of a log was asked: the turns of its ``messages``, else its ``prompt``."""
    messages = row.get("messages")
    if isinstance(messages, str) and messages.startswith("["):
        with suppress(orjson.JSONDecodeError):
            messages = orjson.loads(messages)
    if isinstance(messages, list):
        with suppress(KeyError, TypeError):
            turns = [Message(m["role"], m["content"]) for m in messages if m["role"] != "system"]
            if turns and all(isinstance(turn.content, str) for turn in turns):
                return _conversation(turns)
    prompt = row.get("prompt")
    return prompt if isinstance(prompt, str) else None


def recorded_response(row: dict[str, Any]) -> Response:
    """The response that a row of a log holds; ``raw`` is the row.

    A row without a response, and without a signal that explains it, is an error and not an empty
    answer.
    """
    column = _answer_column(row)
    value = row[column] if column else None
    finish = _text(row, "finish_reason")
    refusal = _text(row, "refusal")
    actor = ACTORS.get(finish) if finish else None
    if name := _text(row, "actor"):
        actor = _ACTOR_NAMES.get(name, actor)
    text, thinking = split_thinking(value) if isinstance(value, str) else ("", None)
    if refusal and not text:
        text, actor = refusal, actor or Actor.MODEL_API
    error = _text(row, "error")
    if error is None and actor is None and value is None:
        error = "the row records no response"
    if error is None and value is not None and not isinstance(value, str):
        error = f"the row's {column} is no text"
    return Response(
        text=text,
        thinking=join_thinking(_text(row, "thinking"), thinking),
        finish_reason=finish,
        actor=actor,
        categories=_words(row.get("categories")),
        truncated=finish in TRUNCATED or str(row.get("truncated")).lower() in _TRUE,
        error=error,
        model_reported=_text(row, "model_reported") or _text(row, "model"),
        input_tokens=_int(row, "input_tokens"),
        output_tokens=_int(row, "output_tokens"),
        latency_s=_float(row, "latency_s"),
        cost_usd=_float(row, "cost_usd"),
        raw=row,
    )


def _add(index: dict[str, dict[int, bytes]], key: str, sample: int | None, packed: bytes) -> bool:
    """Adds a row under its sample's number, or the first free one; false where it is taken."""
    samples = index.setdefault(key, {})
    if sample is None:
        sample = len(samples)
        while sample in samples:
            sample += 1
    if sample in samples:
        return False
    samples[sample] = packed
    return True


def _conversation(turns: Sequence[Message]) -> str:
    """The text of a single turn; of several, a form that no single turn takes by accident."""
    if len(turns) == 1:
        return turns[0].content
    return orjson.dumps([[m.role, m.content] for m in turns]).decode()


def _alike(recorded: str, *asked: str) -> bool:
    """Whether a prompt recorded under the same id is one of ``asked``, if perhaps reworded.

    Two files that both number their prompts from 1 must not be taken for one another; a published
    log of an earlier wording, or of the prompt within a template, must.
    """
    recorded = recorded.strip()
    return any(
        text.strip() in recorded
        or SequenceMatcher(None, recorded[:1000], text.strip()[:1000], autojunk=False).ratio()
        >= _REWORDED
        for text in asked
    )


def _answer_column(row: dict[str, Any]) -> str | None:
    return next((name for name in ("response", "completion") if name in row), None)


def _prompt_id(row: dict[str, Any]) -> str | None:
    for name in ("prompt_id", "id"):
        value = row.get(name)
        if value is not None and value != "":
            return str(value)
    return None


def _text(row: dict[str, Any], name: str) -> str | None:
    value = row.get(name)
    return value if isinstance(value, str) and value else None


def _int(row: dict[str, Any], name: str) -> int | None:
    value = _float(row, name)
    return int(value) if value is not None and value.is_integer() else None


def _float(row: dict[str, Any], name: str) -> float | None:
    value = row.get(name)
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _words(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        try:
            value = orjson.loads(value)
        except orjson.JSONDecodeError:
            value = value.split(",")
    if not isinstance(value, list):
        return ()
    return tuple(str(word).strip() for word in value if str(word).strip())
