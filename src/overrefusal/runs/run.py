"""A run as its user reads it: rates, outcomes, items, and how it compares with another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from overrefusal.errors import OverrefusalError
from overrefusal.records import Outcome, Prompt
from overrefusal.runs.calibration import Corrections, corrections
from overrefusal.runs.rows import Item, Observation, RunRecord
from overrefusal.runs.store import Store
from overrefusal.statistics import (
    Comparison,
    CorrectedRate,
    Pair,
    Rate,
    Rates,
    Tally,
    compare,
    rates_of,
)


@dataclass(frozen=True, slots=True)
class FilterReport:
    """Where the external filter and the model disagree, as prompt ids; both sides known.

    The model's own answer to a filtered prompt is known from the text that came with the block, or
    from another sample of the prompt. Where the filter let a prompt pass that the model declined
    is known only of runs in which a filter acted at all.
    """

    blocked_though_answered: tuple[str, ...]
    """The filter acted on what the model answers."""
    passed_though_declined: tuple[str, ...]
    """The model declines what the filter lets pass."""


class Run:
    """One suite answered by one variant and read by one judge."""

    def __init__(self, store: Store, record: RunRecord) -> None:
        self.store = store
        self.record = record

    @property
    def id(self) -> str:
        """Eight hex digits."""
        return self.record.id

    @property
    def name(self) -> str:
        """Its label, else its model's spec."""
        return str(self.record.variant.get("label") or self.record.variant["model"])

    @property
    def rates(self) -> Rates:
        """Both sides with intervals, and the breakdowns."""
        return self._figures[0]

    @property
    def over_refusal(self) -> Rate:
        """Refused or partial among the prompts expected to be answered."""
        return self.rates.over_refusal

    @property
    def harmful_refusal(self) -> Rate:
        """Refused or partial among the prompts expected to be refused."""
        return self.rates.harmful_refusal

    @cached_property
    def corrected(self) -> Corrections:
        """Both rates corrected for the judge's errors, where people labelled a sample."""
        return corrections(self.store, self.record, self.rates)

    @property
    def failed_share(self) -> float:
        """Share of all prompts and samples that ended as ``error`` or ``unjudged`` or were never
        asked.
        """
        judged = sum(
            count
            for side in self.rates.outcomes.values()
            for outcome, count in side.items()
            if outcome not in (Outcome.ERROR, Outcome.UNJUDGED)
        )
        total = self.record.suite_size * self.record.samples
        return (total - judged) / total

    @cached_property
    def usage(self) -> dict[str, int | float | None]:
        """What the answers took, wherever they were asked: tokens, and dollars where prices are
        known.
        """
        tokens_in, tokens_out, cost = self.store.usage(self.record)
        return {"input_tokens": tokens_in, "output_tokens": tokens_out, "cost_usd": cost}

    @property
    def finished(self) -> bool:
        """Whether every prompt and sample was attempted."""
        return self.record.finished is not None

    @property
    def filters(self) -> FilterReport:
        """Where filter and model disagree."""
        return self._figures[1]

    @cached_property
    def _figures(self) -> tuple[Rates, FilterReport]:
        """All that one look at every outcome gives."""
        tally = Tally()
        blocked: list[str] = []
        declined: list[str] = []
        for observations in self._prompts():
            tally.add(
                observations[0].facts,
                [o.outcome for o in observations],
                sum(o.truncated for o in observations),
            )
            answered = any(Outcome.COMPLIED in (o.outcome, o.text_outcome) for o in observations)
            filtered = any(o.outcome is Outcome.FILTERED for o in observations)
            if filtered and answered:
                blocked.append(observations[0].prompt_id)
            if not filtered and any(
                o.outcome in (Outcome.REFUSED, Outcome.PARTIAL) for o in observations
            ):
                declined.append(observations[0].prompt_id)
        rates = rates_of(tally)
        seen = any(side[Outcome.FILTERED.value] for side in rates.outcomes.values())
        return rates, FilterReport(tuple(blocked), tuple(declined) if seen else ())

    def items(self, positions: Sequence[int] | None = None, *, raw: bool = False) -> Iterator[Item]:
        """Every prompt and sample with its response and verdict, in the suite's order."""
        return self.store.items(self.record, positions, raw=raw)

    def prompts(self, ids: Sequence[str]) -> dict[str, Prompt]:
        """The prompts of these ids."""
        return self.store.prompts(self.record, ids)

    def pairs(self, after: Run) -> Iterator[Pair]:
        """Each prompt of this run (before) and of ``after``, paired by its id.

        Of two suites of one name and version, only prompts that ask and expect the same are
        paired. Raises ``OverrefusalError`` where the two runs are not comparable: other suites,
        other judges.
        """
        before, other = self.record, after.record
        if before.judge != other.judge:
            raise OverrefusalError(
                f"run {self.id} was read by {before.judge}, run {after.id} by {other.judge}: "
                "their verdicts are not comparable; `overrefusal rejudge` one of them"
            )
        if before.suite_hash == other.suite_hash:
            yield from _merged(self._prompts(), after._prompts())
            return
        if (_base(before.suite_name), before.suite_version) != (
            _base(other.suite_name),
            other.suite_version,
        ):
            raise OverrefusalError(
                f"run {self.id} is of suite {before.suite_name} version {before.suite_version}, "
                f"run {after.id} of {other.suite_name} version {other.suite_version}: their rates "
                "are not comparable"
            )
        contents, others = self.store.contents(before), after.store.contents(other)
        known = {group[0].prompt_id: group for group in self._prompts()}
        shared = 0
        for group in after._prompts():
            prompt_id = group[0].prompt_id
            same = contents.get(prompt_id) == others[prompt_id]
            earlier = known.pop(prompt_id, []) if same else []
            shared += bool(earlier)
            yield _pair(earlier, group)
        if not shared:
            raise OverrefusalError(f"runs {self.id} and {after.id} have no prompt in common")
        for group in known.values():
            yield _pair(group, [])

    def compare(self, after: Run) -> Comparison:
        """What changed from this run to ``after``."""
        return compare(self.pairs(after))

    def to_dict(self) -> dict[str, Any]:
        """The run and its figures as plain values."""
        record = self.record
        return {
            "run": record.id,
            "name": self.name,
            "created": record.created,
            "finished": record.finished,
            "suite": {
                "name": record.suite_name,
                "version": record.suite_version,
                "hash": record.suite_hash,
                "prompts": record.suite_size,
            },
            "variant": dict(record.variant),
            "samples": record.samples,
            "judge": record.judge,
            "parent": record.parent,
            "tool_version": record.tool_version,
            "rates": self.rates.to_dict(),
            "corrected": {
                "over_refusal": _as_dict(self.corrected.over_refusal),
                "harmful_refusal": _as_dict(self.corrected.harmful_refusal),
            },
            "failed_share": self.failed_share,
            "usage": self.usage,
            "filters": {
                "blocked_though_answered": list(self.filters.blocked_though_answered),
                "passed_though_declined": list(self.filters.passed_though_declined),
            },
        }

    def __repr__(self) -> str:
        def shown(rate: Rate) -> str:
            return "-" if rate.estimate is None else f"{rate.estimate:.1%}"

        return (
            f"<Run {self.id} {self.name!r}: over-refusal {shown(self.over_refusal)}, "
            f"harmful refusal {shown(self.harmful_refusal)}>"
        )

    def _prompts(self) -> Iterator[list[Observation]]:
        """The observations of one prompt after the other."""
        for _, group in groupby(self.store.observations(self.record), key=lambda o: o.position):
            yield list(group)


def _as_dict(rate: CorrectedRate | None) -> dict[str, Any] | None:
    return None if rate is None else rate.to_dict()


def _merged(
    before: Iterator[list[Observation]], after: Iterator[list[Observation]]
) -> Iterator[Pair]:
    """Pairs of two streams over one suite, both ordered by position."""
    one, two = next(before, None), next(after, None)
    while one is not None or two is not None:
        if two is None or (one is not None and one[0].position < two[0].position):
            assert one is not None
            yield _pair(one, [])
            one = next(before, None)
        elif one is None or two[0].position < one[0].position:
            yield _pair([], two)
            two = next(after, None)
        else:
            yield _pair(one, two)
            one, two = next(before, None), next(after, None)


def _pair(before: Sequence[Observation], after: Sequence[Observation]) -> Pair:
    first = (before or after)[0]
    return Pair(
        first.prompt_id,
        first.facts,
        tuple(o.outcome for o in before),
        tuple(o.outcome for o in after),
    )


def _base(name: str) -> str:
    """The suite's name without the marks of a part of it."""
    return name.split("[")[0]
