"""What a provider's wire format has to say to the shared HTTP client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from overrefusal.records import Message, Request, Response


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP POST."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Wire(ABC):
    """One provider's wire format: how a request is written and how a reply is read."""

    spec: str
    identity: str
    url: str
    headers: dict[str, str]
    secrets: tuple[str, ...]
    """What must never be repeated in a message or a stored payload."""
    key_help: str
    """What to check when the provider does not accept the key."""
    name_help: str
    """What to check when the provider does not know the model or the path."""
    model: str

    @abstractmethod
    def call(self, request: Request) -> Call:
        """The POST that asks ``request``."""

    @abstractmethod
    def read(self, payload: dict[str, Any]) -> Response:
        """The answer in a payload of status 200; ``MalformedReply`` where there is none."""

    def read_block(self, status: int, payload: dict[str, Any]) -> Response | None:
        """The filter's answer in an error payload; ``None`` where it is an error like others."""
        return None

    def hopeless(self, status: int, payload: dict[str, Any]) -> str | None:
        """What to mend, where an error says that no request of this run can succeed."""
        return None


def split_system(messages: tuple[Message, ...]) -> tuple[str | None, list[Message]]:
    """The system messages joined by a blank line, and the turns of the conversation."""
    system = [m.content for m in messages if m.role == "system"]
    return "\n\n".join(system) or None, [m for m in messages if m.role != "system"]


def sample_seed(request: Request) -> int | None:
    """The seed for this sample of the prompt: the run's seed plus the sample's number."""
    seed = request.sampling.seed
    return None if seed is None else seed + request.sample
