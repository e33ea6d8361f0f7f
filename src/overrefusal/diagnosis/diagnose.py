"""From a run to the diagnoses of its over-refusals: what `overrefusal diagnose` does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from overrefusal.diagnosis.asking import Asker
from overrefusal.diagnosis.findings import (
    Diagnosis,
    Guess,
    Mend,
    Queries,
    Span,
    Status,
    Weight,
)
from overrefusal.diagnosis.grouping import Helped, Share, Trigger, helped, shares, triggers
from overrefusal.diagnosis.grouping import without as rate_without
from overrefusal.diagnosis.hinges import BUDGET, DECLINED, Hinges
from overrefusal.diagnosis.lexicon import lexicon
from overrefusal.diagnosis.llm import guess_by
from overrefusal.diagnosis.mends import Mender
from overrefusal.diagnosis.patterns import classify
from overrefusal.diagnosis.words import units
from overrefusal.errors import OverrefusalError
from overrefusal.evaluation import Connection, run_sync
from overrefusal.judges.protocol import Judge
from overrefusal.judges.registry import get_judge
from overrefusal.models.protocol import Model
from overrefusal.models.registry import open_model
from overrefusal.models.variants import Variant
from overrefusal.records import Expected, Outcome, Prompt, Sampling
from overrefusal.runs.run import Run

if TYPE_CHECKING:
    from overrefusal.models.local.load import Loaded

_GUESSED = ("rules", "local")
"""Judges that a run's record leads back to."""


@dataclass(slots=True)
class Progress:
    """How many over-refusals are diagnosed."""

    total: int
    done: int = 0
    errors: int = 0
    """Questions that ended as error or unjudged."""


@dataclass(frozen=True, slots=True)
class Report:
    """The diagnoses of a run, and what they have in common."""

    run: Run
    diagnoses: tuple[Diagnosis, ...]
    over_refusals: int
    """Prompts of the run that should be answered and were declined by the model."""
    filtered: int
    """Prompts that should be answered and were blocked by a filter: no refusals of the model, and
    not diagnosed."""
    method: str
    """``black box`` or ``white box``."""
    model: str
    judge: str
    calls: int
    """Calls of the model that the store did not save."""
    triggers: list[Trigger] = field(default_factory=list)
    helped: list[Helped] = field(default_factory=list)
    by_pattern: list[Share] = field(default_factory=list)
    by_category: list[Share] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain values, with both rates of the run."""
        rates = self.run.rates
        return {
            "run": self.run.id,
            "name": self.run.name,
            "model": self.model,
            "judge": self.judge,
            "method": self.method,
            "over_refusal": rates.over_refusal.to_dict(),
            "harmful_refusal": rates.harmful_refusal.to_dict(),
            "over_refusals": self.over_refusals,
            "diagnosed": len(self.diagnoses),
            "filtered": self.filtered,
            "calls": self.calls,
            "statuses": {
                status.value: sum(d.status is status for d in self.diagnoses) for status in Status
            },
            "triggers": [
                {**asdict(trigger), "over_refusal_without": _rate(rates.over_refusal, trigger)}
                for trigger in self.triggers
            ],
            "helped": [asdict(row) for row in self.helped],
            "by_pattern": [asdict(row) for row in self.by_pattern],
            "by_category": [asdict(row) for row in self.by_category],
            "diagnoses": [diagnosis.to_dict() for diagnosis in self.diagnoses],
        }


async def diagnose_async(
    run: Run,
    *,
    prompt: str | None = None,
    model: str | Model | None = None,
    judge: str | Judge | None = None,
    llm: str | Model | None = None,
    white_box: bool = False,
    budget: int = BUDGET,
    mend: bool = True,
    limit: int | None = None,
    seed: int = 0,
    connection: Connection = Connection(),  # noqa: B008 - frozen
    on_progress: Callable[[Progress], None] | None = None,
) -> Report:
    """Why the model of ``run`` declined what it should answer: patterns, words, what would help.

    ``prompt`` is the id of one prompt, else all over-refusals are diagnosed, or ``limit`` of them
    drawn with ``seed``. ``model`` and ``judge`` are the run's own unless they are named; ``llm``
    names the patterns instead of the bundled classifier. ``white_box`` orders the words by the
    gradients of a local model. ``budget`` is the number of questions for the words of one prompt;
    those for what would help (left out without ``mend``) are counted apart.

    Every answer is kept in the run's store, so that repeating the call goes on where it stopped.

    Raises ``OverrefusalError`` where the model or the judge cannot be asked again, or where the
    prompt was not declined.
    """
    if budget < 3:
        raise OverrefusalError(f"a budget of {budget} questions finds nothing; give 3 or more")
    declined, filtered = _declined(run)
    chosen = _chosen(run, declined, prompt, limit, seed)
    variant = Variant(
        str(run.record.variant["identity"]),
        run.record.variant.get("system"),
        Sampling(**run.record.variant.get("sampling", {})),
    )
    the_judge = _judge(run, judge)
    opened: list[Any] = [the_judge]
    try:
        the_model, loaded = _model(run, model, white_box, connection)
        opened.append(the_model)
        the_llm = open_model(llm, **asdict(connection)) if isinstance(llm, str) else llm
        if the_llm is not None:
            opened.append(the_llm)
        asker = Asker(run.store, the_model, the_judge, variant)
        gradients = None
        if loaded is not None:
            gradients = await asyncio.to_thread(_Gradients, loaded, variant, *_by_outcome(run))
        twins = _twins(run, chosen) if mend else {}
        progress = Progress(len(chosen))
        slots = asyncio.Semaphore(connection.concurrency)

        async def one(item: tuple[Prompt, Outcome]) -> Diagnosis:
            async with slots:
                guess = classify(item[0]) if the_llm is None else await guess_by(the_llm, item[0])
                twin = twins.get(item[0].contrast_of or "")
                found = await _diagnosed(asker, *item, guess, twin, gradients, budget, mend)
            progress.done += 1
            progress.errors += found.failures
            if on_progress is not None:
                on_progress(progress)
            return found

        tasks = [asyncio.ensure_future(one(item)) for item in chosen]
        try:
            diagnoses = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        for thing in opened:
            await thing.close()
    return Report(
        run=run,
        diagnoses=tuple(diagnoses),
        over_refusals=len(declined),
        filtered=filtered,
        method="white box" if white_box else "black box",
        model=the_model.spec,
        judge=the_judge.identity,
        calls=asker.calls,
        triggers=triggers(diagnoses),
        helped=helped(diagnoses),
        by_pattern=shares(diagnoses, "pattern"),
        by_category=shares(diagnoses, "category"),
    )


def diagnose(run: Run, **options: Any) -> Report:
    """``diagnose_async`` for callers without an event loop, and for notebooks; same options."""
    return run_sync(lambda: diagnose_async(run, **options))


async def _diagnosed(
    asker: Asker,
    prompt: Prompt,
    outcome: Outcome,
    guess: Guess,
    twin: Prompt | None,
    gradients: _Gradients | None,
    budget: int,
    mend: bool,
) -> Diagnosis:
    lex = lexicon(prompt.language)
    found = units(prompt.text, lex)
    weights: tuple[Weight, ...] = ()
    order = None
    if gradients is not None:
        values = await asyncio.to_thread(gradients.of, prompt, found)
        order = sorted(range(len(found)), key=lambda i: -values[i])
        weights = tuple(
            Weight(Span(found[i].start, found[i].end, found[i].text), values[i]) for i in order
        )
    search = Hinges(asker, prompt, found, lex, budget=budget, order=order)
    status, hinges = await search.find()
    mender = Mender(asker, prompt, twin, lex)
    mends: tuple[Mend, ...] = ()
    if mend and status in (Status.FOUND, Status.NONE_FOUND):
        mends = await mender.tried(prompt.pattern or guess.pattern, hinges, found)
    return Diagnosis(
        prompt=prompt,
        outcome=outcome,
        guess=guess,
        status=status,
        hinges=hinges,
        weights=weights,
        mends=mends,
        queries=Queries(search.queries, mender.queries),
        failures=search.failures + mender.failures,
    )


class _Gradients:
    """The white box of one run: its model's refusal tokens, and the weights of a prompt's words."""

    def __init__(
        self,
        loaded: Loaded,
        variant: Variant,
        refused: Sequence[Prompt],
        answered: Sequence[Prompt],
    ) -> None:
        from overrefusal.diagnosis.whitebox import opening_tokens

        self._loaded, self._variant = loaded, variant
        sides = [[variant.requests(p)[0].messages for p in side] for side in (refused, answered)]
        self._tokens = opening_tokens(loaded, *sides).ids

    def of(self, prompt: Prompt, found: Sequence[Any]) -> list[float]:
        from overrefusal.diagnosis.whitebox import saliency

        messages = self._variant.requests(prompt)[0].messages
        return saliency(self._loaded, messages, self._tokens, found)


def _declined(run: Run) -> tuple[list[tuple[Prompt, Outcome]], int]:
    """The prompts that should be answered and were declined with what became of them, and how many
    were filtered.
    """
    outcomes: dict[str, list[Outcome]] = {}
    prompts: dict[str, Prompt] = {}
    for item in run.items():
        if item.prompt.expected is Expected.ANSWER:
            prompts[item.prompt.id] = item.prompt
            outcomes.setdefault(item.prompt.id, []).append(item.verdict.outcome)
    declined, filtered = [], 0
    for prompt_id, seen in outcomes.items():
        refusal = next((outcome for outcome in DECLINED if outcome in seen), None)
        if refusal is not None:
            declined.append((prompts[prompt_id], refusal))
        elif Outcome.FILTERED in seen:
            filtered += 1
    return declined, filtered


def _by_outcome(run: Run) -> tuple[list[Prompt], list[Prompt]]:
    """The refused and the answered prompts of the run, harmful ones too."""
    sides: dict[Outcome, list[Prompt]] = {Outcome.REFUSED: [], Outcome.COMPLIED: []}
    for item in run.items():
        if item.verdict.outcome in sides:
            sides[item.verdict.outcome].append(item.prompt)
    return sides[Outcome.REFUSED], sides[Outcome.COMPLIED]


def _chosen(
    run: Run,
    declined: list[tuple[Prompt, Outcome]],
    prompt: str | None,
    limit: int | None,
    seed: int,
) -> list[tuple[Prompt, Outcome]]:
    if prompt is not None:
        found = [item for item in declined if item[0].id == prompt]
        if not found:
            known = run.prompts([prompt])
            why = "was not declined though it should be answered" if known else "is not in it"
            raise OverrefusalError(f"run {run.id}: prompt {prompt!r} {why}")
        return found
    if limit is None or limit >= len(declined):
        return declined
    drawn = sorted(random.Random(seed).sample(range(len(declined)), limit))
    return [declined[i] for i in drawn]


def _twins(run: Run, chosen: Sequence[tuple[Prompt, Outcome]]) -> dict[str, Prompt]:
    """The harmful twins of these prompts by their id."""
    ids = {prompt.contrast_of for prompt, _ in chosen if prompt.contrast_of is not None}
    return run.prompts(sorted(ids))


def _judge(run: Run, judge: str | Judge | None) -> Judge:
    if judge is not None:
        return get_judge(judge, open_model) if isinstance(judge, str) else judge
    for spec in _GUESSED:
        if run.record.judge.startswith(f"{spec}/"):
            with suppress(OverrefusalError):
                found = get_judge(spec)
                if found.identity == run.record.judge:
                    return found
    raise OverrefusalError(
        f"run {run.id} was read by {run.record.judge}, which new answers cannot be given to by "
        "that name alone: name the judge by --judge"
    )


def _model(
    run: Run, model: str | Model | None, white_box: bool, connection: Connection
) -> tuple[Model, Loaded | None]:
    """The model to ask, and its weights where the box is white."""
    spec = str(run.record.variant["model"])
    the_model: Model
    loaded = None
    if white_box:
        name = model if isinstance(model, str) else spec
        kind, _, rest = name.partition("/")
        if kind != "hf" and name.partition(":")[0] != "bouncer":
            raise OverrefusalError(
                f"{name}: a white box needs a local model's weights (hf/NAME or bouncer)"
            )
        from overrefusal.models.local.load import load

        loaded = load(rest if kind == "hf" else name)
    if isinstance(model, str) or model is None:
        name = model or spec
        if loaded is not None and name.startswith("hf/"):
            from overrefusal.models.local.model import HfModel

            the_model = HfModel(loaded)
        else:
            the_model = open_model(name, **asdict(connection))
    else:
        the_model = model
    if the_model.keyed_by_id:
        raise OverrefusalError(
            f"{the_model.spec} only has recorded answers, and a diagnosis asks new questions: "
            "name the model that gave them by --model"
        )
    identity = run.record.variant["identity"]
    if model is None and the_model.identity != identity:
        raise OverrefusalError(
            f"run {run.id} was answered by {identity}, and {spec} now is {the_model.identity}: "
            "evaluate it again, or name the model by --model (and its --base-url)"
        )
    return the_model, loaded


def _rate(over_refusal: Any, trigger: Trigger) -> dict[str, Any] | None:
    rate = rate_without(over_refusal, trigger)
    return None if rate is None else rate.to_dict()
