"""A local model behind the ``Model`` protocol."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from overrefusal.errors import OverrefusalError
from overrefusal.models.local.chat import encode, render
from overrefusal.models.local.generate import (
    ROWS_CPU,
    ROWS_GPU,
    Batch,
    Row,
    arranged,
    context_of,
    end_tokens,
)
from overrefusal.models.local.load import Loaded
from overrefusal.models.local.sampling import Draw
from overrefusal.models.payload import printable
from overrefusal.models.thinking import split_thinking
from overrefusal.models.wire import sample_seed
from overrefusal.records import Request, Response

DEFAULT_MAX_TOKENS = 1024
"""Tokens of an answer where the request names no limit."""
LOOK = 8
"""An answer under way is shown to ``EarlyStop`` every so many tokens."""
FINISH = {"end": "stop", "limit": "length", "stop": "judged"}

# Templates of reasoning models open the thinking in the prompt, so the output starts inside it.
_OPEN_THINKING = re.compile(r"(<(?:seed:)?think(?:ing)?>|\[THINK\]|◁think▷)\s*\Z")


class Watch(Protocol):
    """One answer under way."""

    def certain(self, text: str) -> bool: ...


class EarlyStop(Protocol):
    """Says when enough of an answer is there; ``identity`` names it in the model's own."""

    identity: str

    def watch(self, prompt: str) -> Watch: ...


@dataclass(slots=True, eq=False)
class _Job:
    request: Request
    text: str
    """The rendered prompt."""
    row: Row
    future: asyncio.Future[Response]
    started: float


class HfModel:
    """A chat model in this process.

    Concurrent ``answer`` calls share a batch, which one worker thread keeps full. A temperature of
    ``None`` or 0 is greedy; above 0, tokens are drawn with the request's seed plus its sample
    number, so that a draw does not depend on what else was in the batch. The generation settings
    shipped with a model (its own temperature, top-k, penalties) are not applied; only its
    end-of-turn tokens are.
    """

    keyed_by_id = False

    def __init__(
        self, loaded: Loaded, *, early: EarlyStop | None = None, budget: int | None = None
    ) -> None:
        """``early`` ends answers before the model does; they then have the finish reason
        ``judged``. ``budget`` is the number of tokens under way, by default what memory allows.
        """
        self.spec = loaded.spec
        self.identity = loaded.identity if early is None else f"{loaded.identity},{early.identity}"
        self.at_once = 2 * (ROWS_CPU if loaded.model.device.type == "cpu" else ROWS_GPU)
        """Requests worth having open: so many keep the batch full."""
        self._loaded = loaded
        self._early = early
        self._budget = budget
        self._ends = end_tokens(loaded)
        self._context = context_of(loaded)
        self._fresh: deque[_Job] = deque()
        self._jobs: dict[int, _Job] = {}
        """Those that the worker has and has not finished, by the id of their row."""
        self._waiting: list[Row] = []
        self._drain: asyncio.Task[None] | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._stop = threading.Event()

    async def answer(self, request: Request) -> Response:
        """The model's response; ``error`` is set where this request cannot be generated."""
        tokenizer = self._loaded.tokenizer
        try:
            text = render(tokenizer, request.messages)
        except OverrefusalError as error:
            return Response(error=str(error))
        ids = encode(tokenizer, text)
        if len(ids) >= self._context or not ids:
            said = f"the prompt has {len(ids)} tokens, the model's context holds {self._context}"
            return Response(error=said, input_tokens=len(ids))
        sampling = request.sampling
        limit = min(sampling.max_tokens or DEFAULT_MAX_TOKENS, self._context - len(ids))
        row = Row(ids, limit)
        if sampling.temperature:
            row.draw = Draw(sampling.temperature, sampling.top_p, sample_seed(request))
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        job = _Job(request, text, row, future, time.monotonic())
        if self._early is not None:
            watch = self._early.watch(request.messages[-1].content)
            row.stop = partial(self._enough, job, watch)
        self._fresh.append(job)
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._work())
        return await future

    async def close(self) -> None:
        """Ends the batch that is being generated and the worker; open requests are cancelled."""
        self._stop.set()
        if self._drain is not None:
            self._drain.cancel()
        for job in [*self._fresh, *self._jobs.values()]:
            job.future.cancel()
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await asyncio.to_thread(worker.shutdown)
        self._fresh.clear()
        self._jobs.clear()
        self._waiting.clear()
        self._stop.clear()

    async def _work(self) -> None:
        # One turn of the loop, so that callers that start together share a batch.
        await asyncio.sleep(0)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="hf")
        loop = asyncio.get_running_loop()
        while self._fresh or self._waiting:
            await loop.run_in_executor(self._worker, self._generate, loop)

    # The rest runs in the worker.

    def _generate(self, loop: asyncio.AbstractEventLoop) -> None:
        done = partial(self._finish, loop)
        try:
            batch = Batch(self._loaded, self._budget)
            batch.run(self._take_up, done, self._stop.is_set)
            return
        except Exception:
            # One row of them is at fault, or all are: each is tried alone.
            waiting = {id(row) for row in self._waiting}
            begun = [job.row for key, job in self._jobs.items() if key not in waiting]
        for row in begun:
            try:
                single = [row]
                Batch(self._loaded, 1).run(lambda s=single: s, done, self._stop.is_set)  # type: ignore[misc]
            except Exception as error:
                row.error = f"the generation failed ({printable(error)})"
                done(row)

    def _take_up(self) -> list[Row]:
        """The rows that wait, with those that have come since."""
        came = False
        while self._fresh:
            job = self._fresh.popleft()
            if not job.future.cancelled():
                self._jobs[id(job.row)] = job
                self._waiting.append(job.row)
                came = True
        if came:
            self._waiting[:] = arranged(self._waiting)
        return self._waiting

    def _finish(self, loop: asyncio.AbstractEventLoop, row: Row) -> None:
        job = self._jobs.pop(id(row))
        response = self._response(job)
        loop.call_soon_threadsafe(_settle, job.future, response)

    def _enough(self, job: _Job, watch: Watch, tokens: list[int]) -> bool:
        if len(tokens) % LOOK:
            return False
        text, _, _ = self._read(job, tokens)
        return watch.certain(text)

    def _read(self, job: _Job, tokens: list[int]) -> tuple[str, str | None, str]:
        """Answer, thinking and raw text of ``tokens``."""
        tokenizer = self._loaded.tokenizer
        body = tokens[:-1] if tokens and tokens[-1] in self._ends else tokens
        # Some models mark thinking with special tokens: they must be seen to be taken off.
        raw = tokenizer.decode(body, skip_special_tokens=False)
        opened = _OPEN_THINKING.search(job.text)
        text, thinking = split_thinking(opened[1] + raw if opened else raw)
        if thinking is None:
            text = tokenizer.decode(body, skip_special_tokens=True)
        else:
            for special in tokenizer.all_special_tokens:
                text = text.replace(special, "")
        return text.strip(), thinking, raw

    def _response(self, job: _Job) -> Response:
        row = job.row
        if row.error is not None:
            return Response(error=row.error, input_tokens=len(row.prompt))
        text, thinking, raw = self._read(job, row.tokens)
        return Response(
            text=text,
            thinking=thinking,
            finish_reason=FINISH[row.finish or "end"],
            truncated=row.finish == "limit",
            model_reported=self.spec.removeprefix("hf/"),
            input_tokens=len(row.prompt),
            output_tokens=len(row.tokens),
            latency_s=time.monotonic() - job.started,
            raw={"text": raw},
        )


def _settle(future: asyncio.Future[Response], response: Response) -> None:
    if not future.done():
        future.set_result(response)
