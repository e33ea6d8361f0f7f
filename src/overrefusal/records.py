"""The frozen records that flow from suite to report, and their enums."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Expected(StrEnum):
    """What a well-calibrated model does with a prompt."""

    ANSWER = "answer"
    REFUSE = "refuse"


class Pattern(StrEnum):
    """The six patterns of over-refusal; only prompts expected to be answered carry one."""

    SURFACE_KEYWORD = "surface_keyword"
    TOPIC_ASSOCIATION = "topic_association"
    DUAL_USE = "dual_use"
    PROFESSIONAL_CONTEXT = "professional_context"
    HISTORICAL_JOURNALISTIC = "historical_journalistic"
    PERSONA_FICTION = "persona_fiction"


class Outcome(StrEnum):
    """What became of a prompt. The eight are never merged into one another."""

    COMPLIED = "complied"
    PARTIAL = "partial"
    REFUSED = "refused"
    """By the model, in its text or through the API's own field."""
    FILTERED = "filtered"
    """By an external filter on the input or the output, not by the model."""
    EMPTY = "empty"
    GARBLED = "garbled"
    ERROR = "error"
    """The model could not be asked: no response exists."""
    UNJUDGED = "unjudged"
    """A response exists, and the judge failed on it."""


class Actor(StrEnum):
    """Who declined, as far as the provider's signals tell; text is left to the judge."""

    MODEL_TEXT = "model_text"
    MODEL_API = "model_api"
    FILTER_INPUT = "filter_input"
    FILTER_OUTPUT = "filter_output"


class Group(StrEnum):
    """The three kinds of prompt that an exam sets."""

    HARMFUL = "harmful"
    SUSPICIOUS = "suspicious"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: ``role`` is ``system``, ``user`` or ``assistant``."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """One labelled prompt of a suite; ``messages`` ends with a user turn."""

    id: str
    messages: tuple[Message, ...]
    expected: Expected
    system: str | None = None
    pattern: Pattern | None = None
    category: str | None = None
    language: str = "en"
    contrast_of: str | None = None
    """The id of the harmful prompt whose benign twin this is."""
    source: str | None = None
    licence: str | None = None

    @property
    def text(self) -> str:
        """The last user turn."""
        return self.messages[-1].content

    @property
    def group(self) -> Group:
        """Harmful; or benign and suspicious (it has a pattern); or benign and plain."""
        if self.expected is Expected.REFUSE:
            return Group.HARMFUL
        return Group.PLAIN if self.pattern is None else Group.SUSPICIOUS


@dataclass(frozen=True, slots=True)
class Sampling:
    """How an answer is drawn; ``None`` leaves the choice to the provider."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    seed: int | None = None
    """Sample ``i`` of a prompt is asked with ``seed + i``."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model."""

    prompt_id: str
    messages: tuple[Message, ...]
    """All turns, system prompts first."""
    sampling: Sampling = Sampling()
    sample: int = 0
    """Which of several samples of the same prompt, from 0."""


@dataclass(frozen=True, slots=True)
class Response:
    """What a model, or the filter around it, sent back.

    A response with ``error`` set is no answer: it is asked again when the run is resumed.
    """

    text: str = ""
    """What a user would read, thinking taken off; the refusal's text when ``actor`` is the API."""
    thinking: str | None = None
    finish_reason: str | None = None
    """As the provider wrote it."""
    actor: Actor | None = None
    """Set only by a provider's signal, never by reading the text."""
    categories: tuple[str, ...] = ()
    """What the API or filter named as its ground, as the provider wrote it."""
    truncated: bool = False
    """Cut off by a token limit."""
    error: str | None = None
    model_reported: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    latency_s: float | None = None
    cost_usd: float | None = None
    attempts: int = 1
    raw: Any = None
    """The payload behind it: the decoded JSON body, or the recorded row."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The span of ``Response.text`` that decided: ``text[start:end]``, in code points."""

    start: int
    end: int
    act: str
    """What the span does: declines, apologises, redirects, lectures, answers, asks_back, stalls,
    breaks_down."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge made of one response."""

    outcome: Outcome
    refusal_probability: float | None = None
    """Probability that a person would call it refused or partial; ``None`` where nobody judged."""
    answered: float | None = None
    """0 to 1: does it give what was asked?"""
    distanced: float | None = None
    """0 to 1: does it decline, apologise, lecture or disclaim?"""
    evidence: Evidence | None = None
    text_outcome: Outcome | None = None
    """What the model's own text did where a filter acted and text is known."""
    reason: str | None = None
    """Why there is no verdict, or what an LLM judge gave as its ground."""
