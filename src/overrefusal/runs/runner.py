"""The runner: a suite through a model and a judge into the store, as a stream.

Three stages with bounded queues between them: asking, keeping, judging. An answer is committed as
soon as it is there, together with whatever else arrived during the last commit, so a killed run
loses at most what one commit takes. Nothing holds a whole run in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any

import orjson

from overrefusal.judges.protocol import Exchange, Judge, verdicts
from overrefusal.models.protocol import Model
from overrefusal.models.variants import Variant
from overrefusal.records import Outcome, Request, Response
from overrefusal.runs.rows import RunRecord
from overrefusal.runs.store import Store

_LOOKUP = 256
_COMMIT = 512
_JUDGES = 4
_REJUDGE = 256
_BACKLOG = 2048


@dataclass(slots=True)
class Progress:
    """How far a run is, in prompts times samples."""

    total: int
    done: int = 0
    asked: int = 0
    """Answered by the model in this call; the rest came from the store."""
    errors: int = 0
    outcomes: dict[Outcome, int] = field(default_factory=dict)
    """Of what was judged in this call."""


@dataclass(frozen=True, slots=True)
class _Unit:
    position: int
    sample: int
    key: str
    prompt: str
    request: Request


def request_key(model: Model, request: Request, salt: str = "") -> str:
    """The key under which the answer to ``request`` is stored: 32 hex digits.

    It covers all that changes an answer: the model's identity, every message, the sampling and
    the sample's number, and the prompt's id where the model answers by id.
    """
    sampling = request.sampling
    content = [
        model.identity,
        [(message.role, message.content) for message in request.messages],
        (sampling.temperature, sampling.max_tokens, sampling.top_p, sampling.seed),
        request.sample,
        request.prompt_id if model.keyed_by_id else None,
        salt,
    ]
    return blake2b(orjson.dumps(content), digest_size=16).hexdigest()


async def execute(
    store: Store,
    run: RunRecord,
    variant: Variant,
    model: Model,
    judge: Judge,
    *,
    concurrency: int,
    fresh: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Ask, keep and judge all that ``run`` still lacks; answers in the store are not asked again.

    With ``fresh`` nothing is taken from other runs. Cancelled or failing, it keeps every answer
    that arrived before it passes the exception on; calling it again goes on from there.

    Raises ``OverrefusalError`` where the model or the store says that going on is no use.
    """
    progress = Progress(total=run.suite_size * run.samples)
    report = on_progress or (lambda _: None)
    done = await asyncio.to_thread(store.done, run)
    progress.done = sum(done)
    salt = run.id if fresh else ""

    asks: asyncio.Queue[_Unit | None] = asyncio.Queue(2 * concurrency)
    answers: asyncio.Queue[tuple[_Unit, Response] | None] = asyncio.Queue()
    room = asyncio.Semaphore(_BACKLOG)
    committing: list[tuple[_Unit, Response]] = []
    to_judge: asyncio.Queue[list[tuple[_Unit, Response]] | None] = asyncio.Queue(8)

    async def feed() -> None:
        async for units in _units(store, run, variant, model, done, salt):
            keys = [unit.key for unit in units]
            known = await asyncio.to_thread(store.known, keys, run.judge)
            stored = [unit for unit in units if unit.key in known]
            if stored:
                links = [(unit.position, unit.sample, unit.key, None) for unit in stored]
                await asyncio.to_thread(store.link, run.id, links)
                unread = [unit for unit in stored if not known[unit.key]]
                progress.done += len(stored) - len(unread)
                await _reread(store, unread, to_judge)
            for unit in units:
                if unit.key not in known:
                    await asks.put(unit)
        for _ in range(concurrency):
            await asks.put(None)

    async def ask() -> None:
        while (unit := await asks.get()) is not None:
            # The wait stands before the question: an answer, once there, is never held up.
            await room.acquire()
            answers.put_nowait((unit, await model.answer(unit.request)))

    async def keep() -> None:
        while batch := await _drain(answers):
            for _ in batch:
                room.release()
            errors = [(u.position, u.sample, None, r.error) for u, r in batch if r.error]
            answered = [(unit, response) for unit, response in batch if not response.error]
            if answered:
                committing[:] = answered
                lost = await asyncio.to_thread(store.add_answers, run.id, _rows(answered))
                committing.clear()
                if lost:
                    await _reread(store, [unit for unit, _ in answered], to_judge)
                else:
                    await to_judge.put(answered)
            if errors:
                await asyncio.to_thread(store.link, run.id, errors)
            progress.asked += len(answered)
            progress.errors += len(errors)
            progress.done += len(errors)
            report(progress)

    async def read() -> None:
        while (batch := await to_judge.get()) is not None:
            found = await verdicts(judge, [Exchange(u.prompt, r) for u, r in batch])
            pairs = [(unit.key, verdict) for (unit, _), verdict in zip(batch, found, strict=True)]
            await asyncio.to_thread(store.add_verdicts, run.judge, pairs)
            for verdict in found:
                progress.outcomes[verdict.outcome] = progress.outcomes.get(verdict.outcome, 0) + 1
            progress.done += len(batch)
            report(progress)

    asking = _Stage([feed(), *(ask() for _ in range(concurrency))])
    keeping = _Stage([keep()])
    reading = _Stage([read() for _ in range(_JUDGES)])
    try:
        await asking.over(keeping, reading)
        await answers.put(None)
        await keeping.over(reading)
        for _ in range(_JUDGES):
            await to_judge.put(None)
        await reading.over()
    except BaseException:
        for stage in (asking, keeping, reading):
            await stage.stop()
        queued = [answers.get_nowait() for _ in range(answers.qsize())]
        left = [*committing, *(entry for entry in queued if entry is not None)]
        store.add_answers(run.id, _rows([entry for entry in left if not entry[1].error]))
        raise
    await asyncio.to_thread(store.finish_run, run.id)
    return progress


async def rejudge(
    store: Store,
    run: RunRecord,
    judge: Judge,
    on_progress: Callable[[Progress], None] | None = None,
) -> Progress:
    """Judge what ``run`` holds and its judge has not judged; the model is never asked."""
    report = on_progress or (lambda _: None)
    progress = Progress(total=run.suite_size * run.samples)
    pending = store.unjudged(run)
    while batch := await asyncio.to_thread(lambda: list(islice(pending, _REJUDGE))):
        found = await verdicts(judge, [Exchange(prompt, response) for _, prompt, response in batch])
        pairs = [(key, verdict) for (key, _, _), verdict in zip(batch, found, strict=True)]
        await asyncio.to_thread(store.add_verdicts, run.judge, pairs)
        for verdict in found:
            progress.outcomes[verdict.outcome] = progress.outcomes.get(verdict.outcome, 0) + 1
        progress.done += len(batch)
        report(progress)
    await asyncio.to_thread(store.finish_run, run.id)
    return progress


async def _units(
    store: Store, run: RunRecord, variant: Variant, model: Model, done: bytearray, salt: str
) -> AsyncIterator[list[_Unit]]:
    """What is still to do, in the suite's order, so many at a time."""
    units: list[_Unit] = []
    for position, prompt in store.suite_prompts(run):
        for request in variant.requests(prompt, run.samples):
            if not done[position * run.samples + request.sample]:
                key = request_key(model, request, salt)
                units.append(_Unit(position, request.sample, key, prompt.text, request))
        if len(units) >= _LOOKUP:
            yield units
            units = []
    if units:
        yield units


async def _reread(
    store: Store,
    units: Sequence[_Unit],
    to_judge: asyncio.Queue[list[tuple[_Unit, Response]] | None],
) -> None:
    """Send to the judge what the store holds for these units."""
    if units:
        found = await asyncio.to_thread(store.responses, [unit.key for unit in units])
        await to_judge.put([(unit, found[unit.key]) for unit in units])


async def _drain(
    queue: asyncio.Queue[tuple[_Unit, Response] | None],
) -> list[tuple[_Unit, Response]]:
    """What lies in the queue, at least one; empty at its end."""
    first = await queue.get()
    batch = [first] if first is not None else []
    while batch and len(batch) < _COMMIT and not queue.empty():
        following = queue.get_nowait()
        if following is None:
            queue.put_nowait(None)
            break
        batch.append(following)
    return batch


def _rows(answered: Sequence[tuple[_Unit, Response]]) -> list[tuple[int, int, str, Response]]:
    return [(unit.position, unit.sample, unit.key, response) for unit, response in answered]


class _Stage:
    """Tasks that end together; the first failure anywhere ends the wait for all."""

    def __init__(self, work: Sequence[Coroutine[Any, Any, None]]) -> None:
        self.tasks = [asyncio.create_task(w) for w in work]

    async def over(self, *others: _Stage) -> None:
        """Wait until all of this stage's tasks are done; raise what any stage raised."""
        waiting = set(self.tasks)
        watched = {task for stage in others for task in stage.tasks}
        while waiting:
            # Not FIRST_EXCEPTION: that waits for the watched ones to end as well.
            finished, _ = await asyncio.wait(waiting | watched, return_when=asyncio.FIRST_COMPLETED)
            for task in finished:
                task.result()
            waiting -= finished
            watched -= finished

    async def stop(self) -> None:
        """Cancel what still runs and wait for its end."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
