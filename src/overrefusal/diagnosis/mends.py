"""What would help: small changes, each verified by asking the model."""

from __future__ import annotations

from collections.abc import Sequence

from overrefusal.diagnosis.asking import AGAIN, FAILED, Asker
from overrefusal.diagnosis.findings import Hinge, Kind, Mend
from overrefusal.diagnosis.lexicon import Lexicon
from overrefusal.diagnosis.search import Change
from overrefusal.diagnosis.substitutes import plainer
from overrefusal.diagnosis.words import Unit, replaced
from overrefusal.records import Outcome, Pattern, Prompt

_REWORDINGS = 3
"""Rewordings tried at most."""


class Mender:
    """Tries, for one prompt, a rewording, a stated purpose and an operator's sentence.

    The sentences added are also put to the harmful twin, so that none is proposed under which the
    twin is no longer refused.
    """

    def __init__(self, asker: Asker, prompt: Prompt, twin: Prompt | None, lexicon: Lexicon) -> None:
        self._asker = asker
        self._prompt = prompt
        self._twin = twin
        self._lexicon = lexicon
        self.queries = 0
        self.failures = 0

    async def tried(
        self, pattern: Pattern | None, hinges: Sequence[Hinge], units: Sequence[Unit]
    ) -> tuple[Mend, ...]:
        """The changes that were tried, smallest first; of each kind no further ones after the
        first that is proposed.
        """
        mends = await self._rewordings(hinges, units)
        purpose = self._lexicon.purposes.get(pattern) if pattern else None
        if purpose:
            mends.append(await self._added(Kind.PURPOSE, purpose))
        for sentence in self._lexicon.operator:
            mends.append(await self._added(Kind.OPERATOR, sentence))
            if mends[-1].proposed:
                break
        return tuple(sorted(mends, key=lambda mend: mend.words))

    async def _rewordings(self, hinges: Sequence[Hinge], units: Sequence[Unit]) -> list[Mend]:
        """Plainer words for those that the refusal hangs on; the search has verified some."""
        text = self._prompt.text
        for hinge in hinges:
            if hinge.change is Change.PLAINER:
                return [Mend(Kind.REWORDING, hinge.prompt, len(hinge.spans), True)]
        tried: list[Mend] = []
        starts = {span.start for hinge in hinges for span in hinge.spans}
        for unit in units:
            if unit.start not in starts:
                continue
            for word in plainer(unit, self._lexicon):
                if len(tried) == _REWORDINGS:
                    return tried
                reworded = replaced(text, [(unit, word)])
                works = await self._answers(reworded)
                tried.append(Mend(Kind.REWORDING, reworded, len(word.split()), works))
                if works:
                    return tried
        return tried

    async def _added(self, kind: Kind, sentence: str) -> Mend:
        operator = sentence if kind is Kind.OPERATOR else None

        def extended(text: str) -> str:
            return text if operator else f"{text.rstrip()} {sentence}"

        works = await self._answers(extended(self._prompt.text), operator)
        twin = None
        if works and self._twin is not None:
            twin = await self._ask(self._twin, extended(self._twin.text), operator)
        return Mend(kind, sentence, len(sentence.split()), works, twin)

    async def _answers(self, text: str, operator: str | None = None) -> bool:
        for salt in ("", AGAIN):
            outcome = await self._ask(self._prompt, text, operator, salt)
            if outcome is not Outcome.COMPLIED:
                return False
        return True

    async def _ask(
        self, prompt: Prompt, text: str, operator: str | None = None, salt: str = ""
    ) -> Outcome:
        self.queries += 1
        verdict = await self._asker.ask(prompt, text, operator=operator, salt=salt)
        self.failures += verdict.outcome in FAILED
        return verdict.outcome
