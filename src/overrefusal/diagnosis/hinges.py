"""Which words one refusal hangs on."""

from __future__ import annotations

from collections.abc import Sequence

from overrefusal.diagnosis.asking import AGAIN, FAILED, Asker
from overrefusal.diagnosis.findings import Hinge, Span, Status
from overrefusal.diagnosis.lexicon import Lexicon
from overrefusal.diagnosis.search import Change, Spent, search
from overrefusal.diagnosis.substitutes import neutral, plainer
from overrefusal.diagnosis.words import Unit, by_suspicion, replaced, without
from overrefusal.records import Outcome, Prompt, Verdict

BUDGET = 16
"""Questions to the model for one prompt."""
DECLINED = (Outcome.REFUSED, Outcome.PARTIAL)


class Hinges:
    """The search on one prompt: ``await find()`` once, then read the fields."""

    def __init__(
        self,
        asker: Asker,
        prompt: Prompt,
        units: Sequence[Unit],
        lexicon: Lexicon,
        *,
        budget: int = BUDGET,
        order: Sequence[int] | None = None,
    ) -> None:
        """``order`` lists the units, the likeliest first; by default as their words suggest."""
        self._asker = asker
        self._prompt = prompt
        self._units = units
        self._lexicon = lexicon
        self._budget = budget
        self._order = by_suspicion(units) if order is None else order
        self._seen: dict[tuple[frozenset[int], Change], Verdict] = {}
        self.queries = 0
        self.failures = 0
        self.control: Verdict | None = None
        """What became of the unchanged prompt when it was asked again."""

    async def find(self) -> tuple[Status, tuple[Hinge, ...]]:
        """How far the search came and what it found.

        The unchanged prompt is asked again first: a model that then answers has no refusal to
        explain. Every finding was asked twice.
        """
        self.control = await self._ask(self._prompt.text, AGAIN)
        if self.control.outcome in FAILED:
            return Status.FAILED, ()
        if self.control.outcome not in DECLINED:
            return Status.UNSTEADY, ()
        plain = frozenset(i for i, unit in enumerate(self._units) if plainer(unit, self._lexicon))
        found = await search(self._order, plain, self._flips, self._confirmed)
        hinges = []
        for finding in found:
            members = frozenset(finding.units)
            spans = [self._units[i] for i in finding.units]
            drop = _drop(self.control, self._seen[members, finding.change]) / len(spans)
            hinges.append(
                Hinge(
                    tuple(Span(unit.start, unit.end, unit.text) for unit in spans),
                    finding.change,
                    self.changed(members, finding.change),
                    drop,
                )
            )
        return Status.FOUND if hinges else Status.NONE_FOUND, tuple(hinges)

    def changed(self, members: frozenset[int], change: Change) -> str:
        """The prompt's text with these units changed."""
        text = self._prompt.text
        units = [self._units[i] for i in members]
        if change is Change.DELETE:
            return without(text, units)
        if change is Change.PLAINER:
            return replaced(text, [(unit, plainer(unit, self._lexicon)[0]) for unit in units])
        return replaced(text, [(unit, neutral(unit, text, self._lexicon)) for unit in units])

    async def _flips(self, members: frozenset[int], change: Change) -> bool:
        known = self._seen.get((members, change))
        if known is None:
            # One question stays for the confirmation.
            if self.queries >= self._budget - 1:
                raise Spent
            text = self.changed(members, change)
            if not text:
                return False
            known = self._seen[members, change] = await self._ask(text)
        return known.outcome is Outcome.COMPLIED

    async def _confirmed(self, members: frozenset[int], change: Change) -> bool:
        if self.queries >= self._budget:
            raise Spent
        again = await self._ask(self.changed(members, change), AGAIN)
        return again.outcome is Outcome.COMPLIED

    async def _ask(self, text: str, salt: str = "") -> Verdict:
        self.queries += 1
        verdict = await self._asker.ask(self._prompt, text, salt=salt)
        self.failures += verdict.outcome in FAILED
        return verdict


def _drop(before: Verdict, after: Verdict) -> float:
    """By how much the probability of a refusal fell; 1 where the judge gives none."""
    if before.refusal_probability is None or after.refusal_probability is None:
        return 1.0
    return before.refusal_probability - after.refusal_probability
