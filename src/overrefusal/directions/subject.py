"""A model under examination: loaded, its blocks found, its positions named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from overrefusal.activations.positions import Position, find_positions
from overrefusal.activations.structure import Names, Structure, find_structure
from overrefusal.models.local.chat import encode, render
from overrefusal.models.local.load import Loaded, load
from overrefusal.records import Message, Prompt


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A chat model with what is known of its inside."""

    loaded: Loaded
    structure: Structure
    positions: tuple[Position, ...]

    @property
    def model(self) -> Any:
        """As transformers gives it."""
        return self.loaded.model

    @property
    def layers(self) -> int:
        """How many blocks there are."""
        return len(self.structure)

    def ids(
        self, prompt: Prompt, *, system: str | None = None, purpose: str | None = None
    ) -> list[int]:
        """The token ids of ``prompt``, an answer being due.

        ``system`` is put before the prompt's own system prompt, ``purpose`` behind its last turn.
        """
        turns = list(prompt.messages)
        if purpose:
            turns[-1] = Message("user", f"{turns[-1].content} {purpose}")
        above = "\n".join(part for part in (system, prompt.system) if part)
        if above:
            turns.insert(0, Message("system", above))
        return encode(self.loaded.tokenizer, render(self.loaded.tokenizer, turns))


def open_subject(name: str, *, names: Names | None = None, **options: Any) -> Subject:
    """The model ``name`` (as ``models.local.load`` takes it, with its ``options``).

    Raises ``OverrefusalError`` where it cannot be loaded, has no chat template, or its blocks are
    not found.
    """
    loaded = load(name, **options)
    return Subject(loaded, find_structure(loaded.model, names), positions_of(loaded))


def positions_of(loaded: Loaded) -> tuple[Position, ...]:
    """The last instruction token and those that the model's template puts behind it."""
    tokenizer = loaded.tokenizer

    def ids(user: str) -> list[int]:
        return encode(tokenizer, render(tokenizer, [Message("user", user)]))

    return find_positions(ids, lambda token: str(tokenizer.decode([token])))
