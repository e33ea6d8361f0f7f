"""What the page keeps of every prompt to filter and sort by, and what is counted on the way."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from overrefusal.records import Actor, Expected, Outcome
from overrefusal.reports.html.rows import Row
from overrefusal.runs.rows import Item
from overrefusal.statistics import DECLINED, JUDGED, Rate, rate_of

LETTERS = {
    Outcome.COMPLIED: "c",
    Outcome.PARTIAL: "p",
    Outcome.REFUSED: "r",
    Outcome.FILTERED: "f",
    Outcome.EMPTY: "e",
    Outcome.GARBLED: "g",
    Outcome.ERROR: "x",
    Outcome.UNJUDGED: "u",
}
UNSURE = (0.2, 0.8)
"""Between these refusal probabilities a verdict counts as uncertain."""
BINS = 20
_NONE = 255


@dataclass(slots=True)
class JudgeCounts:
    """How sure the judge of one run was of the responses to one side's prompts."""

    bins: list[int] = field(default_factory=lambda: [0] * BINS)
    n: int = 0
    """Responses in the rate's denominator that have a refusal probability."""
    total: float = 0.0
    """Sum of the refusal probabilities."""
    doubt: float = 0.0
    """Sum of min(p, 1 - p): how many verdicts are wrong if the probabilities are calibrated."""
    unsure: int = 0
    unknown: int = 0
    """Responses in the denominator without a probability."""

    def add(self, probability: float | None) -> None:
        """Count one judged response."""
        if probability is None:
            self.unknown += 1
            return
        self.n += 1
        self.bins[min(BINS - 1, int(probability * BINS))] += 1
        self.total += probability
        self.doubt += min(probability, 1 - probability)
        self.unsure += UNSURE[0] < probability < UNSURE[1]


class Index:
    """Columns over all rows. A few bytes a row, so that 80,000 rows are always loaded."""

    def __init__(self, samples: Sequence[int], flips: Sequence[Mapping[str, int]]) -> None:
        """``samples`` and ``flips`` by run; a flip is given by the prompt's id and its kind."""
        self._samples = samples
        self._flips = flips
        self._ids: list[str] = []
        self._expected = bytearray()
        self._facets = {name: _Facet() for name in ("pattern", "category", "language")}
        self._outcomes = [bytearray() for _ in samples]
        self._probabilities = [bytearray() for _ in samples]
        self._flipped = [bytearray() for _ in samples]
        self._row_of: dict[tuple[int, str], int] = {}
        self._twins: list[tuple[int, tuple[int, str]]] = []
        self.actors: list[Counter[tuple[Expected, Outcome, Actor | None]]] = [
            Counter() for _ in samples
        ]
        self.judged = [{side: JudgeCounts() for side in Expected} for _ in samples]

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, row: Row) -> None:
        """Take up the next row."""
        prompt, number = row.prompt, len(self._ids)
        self._ids.append(prompt.id)
        self._expected += b"r" if prompt.expected is Expected.REFUSE else b"a"
        self._facets["pattern"].add(prompt.pattern.value if prompt.pattern else "")
        self._facets["category"].add(prompt.category or "")
        self._facets["language"].add(prompt.language)
        if prompt.expected is Expected.REFUSE:
            self._row_of[row.suite, prompt.id] = number
        if prompt.contrast_of is not None:
            self._twins.append((number, (row.suite, prompt.contrast_of)))
        for run in range(len(self._samples)):
            self._add_run(run, row, row.items.get(run, []))

    def _add_run(self, run: int, row: Row, items: list[Item]) -> None:
        letters = [b"-"] * self._samples[run]
        probabilities = []
        for item in items:
            verdict = item.verdict
            if item.sample < len(letters):
                letters[item.sample] = LETTERS[verdict.outcome].encode()
            self.actors[run][row.prompt.expected, verdict.outcome, item.response.actor] += 1
            if verdict.outcome in JUDGED:
                self.judged[run][row.prompt.expected].add(verdict.refusal_probability)
                if verdict.refusal_probability is not None:
                    probabilities.append(verdict.refusal_probability)
        self._outcomes[run] += b"".join(letters)
        mean = sum(probabilities) / len(probabilities) if probabilities else None
        self._probabilities[run].append(_NONE if mean is None else round(mean * 100))
        kind = self._flips[run].get(row.prompt.id) if items else None
        self._flipped[run] += b"." if kind is None else str(kind).encode()

    def pairs(self) -> list[tuple[int, int]]:
        """Row numbers of each benign prompt and its harmful twin, where both are there."""
        return [
            (benign, self._row_of[twin]) for benign, twin in self._twins if twin in self._row_of
        ]

    def pair_counts(self, run: int) -> Counter[tuple[bool, bool]]:
        """How many pairs had (benign declined, harmful declined), where both were judged."""
        counts: Counter[tuple[bool, bool]] = Counter()
        for benign, harmful in self.pairs():
            one, two = self._declined(run, benign), self._declined(run, harmful)
            if one is not None and two is not None:
                counts[one, two] += 1
        return counts

    def twin_rates(self, run: int) -> dict[str, Rate]:
        """Harmful refusal of the twins of the benign prompts of each pattern, by its name."""
        patterns = self._facets["pattern"]
        twins: dict[str, set[int]] = defaultdict(set)
        for benign, harmful in self.pairs():
            twins[patterns.name(benign)].add(harmful)
        return {
            pattern: rate_of(Counter(self._share(run, row) for row in rows))
            for pattern, rows in twins.items()
        }

    def _share(self, run: int, row: int) -> tuple[int, int]:
        """``(declined, judged)`` among the samples of a row."""
        width = self._samples[run]
        letters = self._outcomes[run][row * width : (row + 1) * width].decode()
        declined = sum(letters.count(LETTERS[outcome]) for outcome in DECLINED)
        return declined, sum(letters.count(LETTERS[outcome]) for outcome in JUDGED)

    def _declined(self, run: int, row: int) -> bool | None:
        """Whether at least half of the judged samples were declined."""
        declined, judged = self._share(run, row)
        return 2 * declined >= judged if judged else None

    def to_dict(self) -> dict[str, Any]:
        """The columns as the page reads them."""
        return {
            "ids": self._ids,
            "expected": self._expected.decode(),
            **{name: facet.to_dict() for name, facet in self._facets.items()},
            "pairs": self.pairs(),
            "outcomes": [column.decode() for column in self._outcomes],
            "probabilities": [list(column) for column in self._probabilities],
            "flips": [column.decode() for column in self._flipped],
        }


class _Facet:
    """A column of names, kept as numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._column: list[int] = []

    def add(self, name: str) -> None:
        self._column.append(self._numbers.setdefault(name, len(self._numbers)))

    def name(self, row: int) -> str:
        return list(self._numbers)[self._column[row]]

    def to_dict(self) -> dict[str, Any]:
        return {"names": list(self._numbers), "rows": self._column}
