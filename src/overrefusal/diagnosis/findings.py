"""What a diagnosis says, of one over-refusal; all of it plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from overrefusal.diagnosis.search import Change
from overrefusal.records import Outcome, Pattern, Prompt


class Status(StrEnum):
    """How far the search for the words came."""

    FOUND = "found"
    """Some words' change was seen to turn the refusal into an answer, twice."""
    NONE_FOUND = "none_found"
    """No change within the budget did."""
    UNSTEADY = "unsteady"
    """The model answered the unchanged prompt when it was asked again: nothing to explain."""
    FAILED = "failed"
    """The unchanged prompt could not be asked or judged again."""


@dataclass(frozen=True, slots=True)
class Span:
    """``text`` stands at ``[start:end]`` of the prompt's last turn, in code points."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Hinge:
    """Words that the refusal hangs on: with all of them changed the model answers, with any of
    them left it does not.
    """

    spans: tuple[Span, ...]
    """The most suspicious first; mostly one."""
    change: Change
    prompt: str
    """The last turn as it was asked: ask it again to see the flip again."""
    effect: float
    """By how much the judge's probability of a refusal fell, shared out among the spans."""


@dataclass(frozen=True, slots=True)
class Weight:
    """Gradient x input of the refusal score over one span: above 0 it pushes towards refusal."""

    span: Span
    value: float


class Kind(StrEnum):
    """What a proposed change changes."""

    REWORDING = "rewording"
    PURPOSE = "purpose"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Mend:
    """A change that was tried; ``works`` where the model answered with it, twice."""

    kind: Kind
    text: str
    """The reworded prompt, or the sentence that is added to the prompt or the system prompt."""
    words: int
    """How many words it changes or adds."""
    works: bool
    twin: Outcome | None = None
    """What became of the prompt's harmful twin under the same sentence; ``None`` where the suite
    has no twin or none was asked."""

    @property
    def proposed(self) -> bool:
        """Whether it works and, where a harmful twin was asked, that one is still refused."""
        return self.works and self.twin in (None, Outcome.REFUSED, Outcome.PARTIAL)


@dataclass(frozen=True, slots=True)
class Guess:
    """Which pattern a prompt is of, with its probability; ``pattern`` is ``None`` where whoever
    was asked named none.
    """

    pattern: Pattern | None
    probability: float | None
    by: str
    probabilities: Mapping[Pattern, float] | None = None
    """Of all six."""
    reason: str | None = None
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class Queries:
    """Questions to the model, whether the store held their answers or not."""

    words: int = 0
    """For the search: the unchanged prompt asked again, every change, every confirmation."""
    mends: int = 0
    """For what would help, its confirmations and the harmful twins."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why one prompt was declined, and what would help."""

    prompt: Prompt
    outcome: Outcome
    guess: Guess
    status: Status
    hinges: tuple[Hinge, ...] = ()
    weights: tuple[Weight, ...] = ()
    """White box only, highest first."""
    mends: tuple[Mend, ...] = ()
    """All that were tried, in the order of their size."""
    queries: Queries = Queries()
    failures: int = 0
    """Questions that ended as error or unjudged."""

    @property
    def pattern(self) -> Pattern | None:
        """The suite's label where it has one, else the guess."""
        return self.prompt.pattern or self.guess.pattern

    @property
    def proposal(self) -> Mend | None:
        """The smallest change that is proposed."""
        return next((mend for mend in self.mends if mend.proposed), None)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values."""
        probabilities = self.guess.probabilities
        return {
            "prompt_id": self.prompt.id,
            "prompt": self.prompt.text,
            "language": self.prompt.language,
            "category": self.prompt.category,
            "labelled_pattern": self.prompt.pattern,
            "outcome": self.outcome,
            "pattern": {
                "name": self.guess.pattern,
                "probability": self.guess.probability,
                "by": self.guess.by,
                "probabilities": None
                if probabilities is None
                else {pattern.value: p for pattern, p in probabilities.items()},
                "reason": self.guess.reason,
            },
            "status": self.status,
            "hinges": [asdict(hinge) for hinge in self.hinges],
            "weights": [asdict(weight) for weight in self.weights],
            "mends": [{**asdict(mend), "proposed": mend.proposed} for mend in self.mends],
            "queries": asdict(self.queries),
            "failures": self.failures,
        }
