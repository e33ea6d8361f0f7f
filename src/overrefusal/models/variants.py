"""A variant: everything about a model that one exam holds fixed."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field

import orjson

from overrefusal.records import Message, Prompt, Request, Sampling


@dataclass(frozen=True, slots=True)
class Variant:
    """A model with the system prompt and the sampling under which it sits the exam."""

    model: str
    """The model's spec, or its identity where two of one spec must be told apart."""
    system: str | None = None
    """The operator's system prompt; a prompt's own comes after it."""
    sampling: Sampling = field(default_factory=Sampling)
    label: str | None = None
    """How reports call it; no part of the fingerprint."""

    def requests(self, prompt: Prompt, samples: int = 1) -> tuple[Request, ...]:
        """One request a sample: system prompts first, then the turns of ``prompt``."""
        system = tuple(Message("system", s) for s in (self.system, prompt.system) if s)
        messages = system + prompt.messages
        return tuple(Request(prompt.id, messages, self.sampling, i) for i in range(samples))

    def fingerprint(self) -> str:
        """64 hexadecimal digits (SHA-256) over all that changes answers."""
        fixed = [self.model, self.system, asdict(self.sampling)]
        return hashlib.sha256(orjson.dumps(fixed, option=orjson.OPT_SORT_KEYS)).hexdigest()
