"""The diagnoses of a run together: the words that many refusals hang on, what helps how often."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from overrefusal.diagnosis.findings import Diagnosis, Kind, Status
from overrefusal.diagnosis.words import fold
from overrefusal.records import Outcome
from overrefusal.statistics import Rate
from overrefusal.statistics.interval import rate_of

UNKNOWN = "(unknown)"


@dataclass(frozen=True, slots=True)
class Trigger:
    """One word in all its forms, and the over-refusals that hang on it."""

    word: str
    """Its commonest form."""
    forms: tuple[str, ...]
    alone: tuple[str, ...]
    """Ids of prompts whose refusal vanishes when this word alone is changed."""
    together: tuple[str, ...]
    """Ids of those where other words must be changed with it."""
    patterns: dict[str, int] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)

    @property
    def prompts(self) -> int:
        """How many over-refusals hang on it, alone or with others."""
        return len(self.alone) + len(self.together)


@dataclass(frozen=True, slots=True)
class Helped:
    """How often one kind of change helped."""

    kind: Kind
    tried: int
    """Prompts on which it was tried."""
    works: int
    """Those that the model then answered."""
    proposed: int
    """Those of them whose harmful twin, where there is one, was still refused."""
    twins: int
    """Harmful twins asked."""
    twins_refused: int


@dataclass(frozen=True, slots=True)
class Share:
    """A group of over-refusals, and in how many of them the words were found."""

    name: str
    prompts: int
    found: int
    top: str | None
    """The word that most of them hang on."""


def triggers(diagnoses: Sequence[Diagnosis]) -> list[Trigger]:
    """Words by the number of over-refusals that hang on them, those alone first."""
    forms: dict[str, Counter[str]] = defaultdict(Counter)
    alone: dict[str, dict[str, Diagnosis]] = defaultdict(dict)
    together: dict[str, dict[str, Diagnosis]] = defaultdict(dict)
    for diagnosis in diagnoses:
        for hinge in diagnosis.hinges:
            for span in hinge.spans:
                words = span.text.lower().split()
                key = " ".join(fold(word, diagnosis.prompt.language) for word in words)
                forms[key][" ".join(words)] += 1
                side = alone if len(hinge.spans) == 1 else together
                side[key][diagnosis.prompt.id] = diagnosis
    found = []
    for key, seen in forms.items():
        first = alone.get(key, {})
        second = {i: d for i, d in together.get(key, {}).items() if i not in first}
        members = [*first.values(), *second.values()]
        ordered = sorted(seen, key=lambda form: (-seen[form], len(form), form))
        found.append(
            Trigger(
                ordered[0],
                tuple(ordered),
                tuple(first),
                tuple(second),
                dict(Counter(_pattern(d) for d in members).most_common()),
                dict(Counter(d.prompt.category or UNKNOWN for d in members).most_common()),
            )
        )
    return sorted(found, key=lambda t: (-t.prompts, -len(t.alone), t.word))


def helped(diagnoses: Sequence[Diagnosis]) -> list[Helped]:
    """What helped how often, by kind."""
    rows = []
    for kind in Kind:
        mends = [[m for m in d.mends if m.kind is kind] for d in diagnoses]
        asked = [m.twin for tried in mends for m in tried if m.twin is not None]
        if any(mends):
            rows.append(
                Helped(
                    kind,
                    sum(bool(tried) for tried in mends),
                    sum(any(m.works for m in tried) for tried in mends),
                    sum(any(m.proposed for m in tried) for tried in mends),
                    len(asked),
                    sum(o in (Outcome.REFUSED, Outcome.PARTIAL) for o in asked),
                )
            )
    return rows


def shares(diagnoses: Sequence[Diagnosis], by: str) -> list[Share]:
    """The over-refusals ``by`` ``pattern`` or ``category``, largest group first."""
    groups: dict[str, list[Diagnosis]] = defaultdict(list)
    for diagnosis in diagnoses:
        name = _pattern(diagnosis) if by == "pattern" else diagnosis.prompt.category or UNKNOWN
        groups[name].append(diagnosis)
    rows = []
    for name, members in groups.items():
        top = triggers(members)
        found = sum(d.status is Status.FOUND for d in members)
        rows.append(Share(name, len(members), found, top[0].word if top else None))
    return sorted(rows, key=lambda row: (-row.prompts, row.name))


def without(over_refusal: Rate, trigger: Trigger) -> Rate | None:
    """The over-refusal rate were no prompt declined for this word alone; ``None`` where the rate
    is over several samples a prompt, which one diagnosis does not settle.
    """
    if over_refusal.n != over_refusal.n_prompts:
        return None
    declined = over_refusal.k - len(trigger.alone)
    return rate_of({(1, 1): declined, (0, 1): over_refusal.n - declined})


def _pattern(diagnosis: Diagnosis) -> str:
    pattern = diagnosis.pattern
    return pattern.value if pattern else UNKNOWN
