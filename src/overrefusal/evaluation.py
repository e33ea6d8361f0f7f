"""From a model's name to a finished run: what `overrefusal eval` and `orf.evaluate` do."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar

import orjson

from overrefusal.errors import OverrefusalError
from overrefusal.judges.early import EarlyStop
from overrefusal.judges.protocol import Judge
from overrefusal.judges.registry import get_judge
from overrefusal.models.local.options import LocalOptions
from overrefusal.models.protocol import Model
from overrefusal.models.registry import open_model
from overrefusal.models.variants import Variant
from overrefusal.records import Sampling
from overrefusal.runs.run import Run
from overrefusal.runs.runner import Progress, execute
from overrefusal.runs.runner import rejudge as judge_again
from overrefusal.runs.store import Store
from overrefusal.statistics import Comparison
from overrefusal.suites import Suite, load_suite

T = TypeVar("T")

DEFAULT_STORE = "overrefusal.db"


@dataclass(frozen=True, slots=True)
class Connection:
    """How a model is reached; none of it changes an answer."""

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    concurrency: int = 32
    rpm: float | None = None
    """Requests a minute."""
    tpm: float | None = None
    """Tokens a minute."""
    timeout: float = 120.0
    """Seconds for one attempt."""
    max_attempts: int = 10


async def evaluate_async(
    model: str | Model,
    suite: str | Path | Suite = "starter",
    *,
    judge: str | Judge = "rules",
    system: str | None = None,
    sampling: Sampling = Sampling(temperature=0.0),  # noqa: B008 - frozen
    samples: int = 1,
    label: str | None = None,
    store: str | Path | None = None,
    connection: Connection = Connection(),
    local: LocalOptions = LocalOptions(),  # noqa: B008 - frozen
    stop_when_judged: bool = False,
    fresh: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Run:
    """Ask ``model`` every prompt of ``suite``, judge the answers, and return the run.

    ``model`` and ``judge`` are specs (``openai/NAME``, ``rules``) or objects of one's own. An
    unfinished run of the same model, suite, judge and settings in ``store`` is taken up again, and
    requests that the store holds answers to are not asked again unless ``fresh``. ``local`` says
    how an ``hf/`` model is loaded; with ``stop_when_judged`` its answers end as soon as the judge
    is certain of them, and are kept apart from whole ones.

    Raises ``OverrefusalError`` for input or a provider's word that no repetition can mend. Prompts
    that could not be asked are in the run as errors, in no rate.
    """
    if samples < 1:
        raise OverrefusalError(f"samples is {samples}; it must be at least 1")
    if connection.concurrency < 1:
        raise OverrefusalError(f"concurrency is {connection.concurrency}; it must be at least 1")
    exam = suite if isinstance(suite, Suite) else load_suite(suite)
    opened = open_store(store)
    the_judge = get_judge(judge, open_model) if isinstance(judge, str) else judge
    try:
        early = EarlyStop(the_judge) if stop_when_judged else None
        if not isinstance(model, str):
            if early is not None:
                raise OverrefusalError(f"{model.spec}: stop_when_judged needs the model's spec")
            the_model = model
        else:
            the_model = open_model(model, **asdict(connection), local=local, early=early)
        try:
            variant = Variant(the_model.identity, system, sampling, label)
            await asyncio.to_thread(opened.save_suite, exam)
            record, _ = opened.begin_run(
                fingerprint=_fingerprint(exam, variant, samples, the_judge, fresh),
                suite=exam,
                judge=the_judge.identity,
                variant={
                    **asdict(variant),
                    "model": the_model.spec,
                    "identity": variant.model,
                    "local": {**asdict(local), "stop_when_judged": stop_when_judged or None},
                },
                samples=samples,
                fresh=fresh,
            )
            await execute(
                opened,
                record,
                variant,
                the_model,
                the_judge,
                concurrency=max(connection.concurrency, getattr(the_model, "at_once", 0)),
                fresh=fresh,
                on_progress=on_progress,
            )
        finally:
            await the_model.close()
    finally:
        await the_judge.close()
    return Run(opened, opened.run(record.id))


def evaluate(model: str | Model, suite: str | Path | Suite = "starter", **options: Any) -> Run:
    """``evaluate_async`` for callers without an event loop, and for notebooks, which have one.

    Takes the same options.
    """
    return run_sync(lambda: evaluate_async(model, suite, **options))


async def rejudge_async(
    run: Run, judge: str | Judge, on_progress: Callable[[Progress], None] | None = None
) -> Run:
    """A run over the responses of ``run``, read by ``judge``; no model is asked.

    The same judge and responses give the same run again; what it could not judge, or had no time
    to, it then tries anew. A run that was itself judged again leads back to the one that asked.
    """
    while run.record.parent is not None:
        run = Run(run.store, run.store.run(run.record.parent))
    the_judge = get_judge(judge, open_model) if isinstance(judge, str) else judge
    try:
        record = run.store.begin_rejudging(run.record, the_judge.identity)
        await judge_again(run.store, record, the_judge, on_progress)
    finally:
        await the_judge.close()
    return Run(run.store, run.store.run(record.id))


def rejudge(
    run: Run, judge: str | Judge, on_progress: Callable[[Progress], None] | None = None
) -> Run:
    """``rejudge_async`` for callers without an event loop, and for notebooks."""
    return run_sync(lambda: rejudge_async(run, judge, on_progress))


def load_run(reference: str | None = None, store: str | Path | None = None) -> Run:
    """The run of that id, beginning of an id, or label; the newest where none is named."""
    opened = open_store(store, create=False)
    return Run(opened, opened.run(reference))


def compare(before: Run, after: Run) -> Comparison:
    """What changed from one run to another, prompt by prompt."""
    return before.compare(after)


def open_store(store: str | Path | None = None, *, create: bool = True) -> Store:
    """The store at that file or URL, else at ``$OVERREFUSAL_STORE``, else ``overrefusal.db``."""
    url = str(store or os.environ.get("OVERREFUSAL_STORE") or DEFAULT_STORE)
    return Store(url, create=create)


def run_sync(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, on uvloop where there is one.

    Under a running loop (a notebook's) it runs in a thread with a loop of its own.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work())
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()

    async def in_thread() -> T:
        started.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        return await work()

    with ThreadPoolExecutor(1) as pool:
        outcome = pool.submit(lambda: asyncio.run(in_thread()))
        try:
            return outcome.result()
        except KeyboardInterrupt:
            # Left alone, the thread would go on asking, and spending.
            loop, task = started.result()
            if task is not None:
                loop.call_soon_threadsafe(task.cancel)
            wait([outcome])
            raise


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _fingerprint(suite: Suite, variant: Variant, samples: int, judge: Judge, fresh: bool) -> str:
    content = [suite.content_hash, variant.fingerprint(), samples, judge.identity, fresh]
    return blake2b(orjson.dumps(content), digest_size=16).hexdigest()
