"""Putting changed prompts to the model and the judge of a run, through the run's store."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from overrefusal.judges.protocol import Exchange, Judge, verdicts
from overrefusal.models.protocol import Model
from overrefusal.models.variants import Variant
from overrefusal.records import Message, Outcome, Prompt, Verdict
from overrefusal.runs.runner import request_key
from overrefusal.runs.store import Store

FAILED = (Outcome.ERROR, Outcome.UNJUDGED)


class Asker:
    """Asks the model of a run; what the store holds the answer to costs no call.

    Answers and verdicts are kept under the key of their request, so that a diagnosis that was
    stopped goes on where it was, and repeating it asks nothing twice.
    """

    def __init__(self, store: Store, model: Model, judge: Judge, variant: Variant) -> None:
        self._store = store
        self._model = model
        self._judge = judge
        self._variant = variant
        self.calls = 0
        """Calls of the model that the store did not save."""

    async def ask(
        self, prompt: Prompt, text: str, *, operator: str | None = None, salt: str = ""
    ) -> Verdict:
        """The verdict on the answer to ``prompt`` with ``text`` as its last turn.

        ``operator`` is added to the system prompt. ``salt`` tells a question from the same one
        asked before.
        """
        turns = (*prompt.messages[:-1], Message("user", text))
        variant = self._variant
        if operator is not None:
            system = f"{variant.system}\n\n{operator}" if variant.system else operator
            variant = replace(variant, system=system)
        request = variant.requests(replace(prompt, messages=turns))[0]
        key = request_key(self._model, request, salt)
        store, judge = self._store, self._judge.identity
        known = (await asyncio.to_thread(store.verdicts, [key], judge)).get(key)
        if known is not None and known.outcome is not Outcome.UNJUDGED:
            return known
        response = (await asyncio.to_thread(store.responses, [key])).get(key)
        if response is None:
            self.calls += 1
            response = await self._model.answer(request)
            if response.error is None:
                await asyncio.to_thread(store.keep_answers, [(key, response)])
        verdict = (await verdicts(self._judge, [Exchange(text, response)]))[0]
        if response.error is None:
            await asyncio.to_thread(store.add_verdicts, judge, [(key, verdict)])
        return verdict


AGAIN = "asked again to confirm"
"""The salt of a question that confirms another."""
