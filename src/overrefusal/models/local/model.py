"""A local model behind the ``Model`` protocol."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from overrefusal.errors import OverrefusalError
from overrefusal.models.local.chat import render
from overrefusal.models.local.load import Loaded
from overrefusal.models.payload import printable
from overrefusal.models.thinking import split_thinking
from overrefusal.models.wire import sample_seed
from overrefusal.records import Request, Response, Sampling

if TYPE_CHECKING:
    import torch

DEFAULT_MAX_TOKENS = 1024
"""Tokens of an answer where the request names no limit."""

# Templates of reasoning models open the thinking in the prompt, so the output starts inside it.
_OPEN_THINKING = re.compile(r"(<(?:seed:)?think(?:ing)?>|\[THINK\]|◁think▷)\s*\Z")


@dataclass(frozen=True, slots=True)
class _Job:
    request: Request
    text: str
    """The rendered prompt."""
    future: asyncio.Future[Response]


class HfModel:
    """A chat model in this process.

    Concurrent ``answer`` calls with equal sampling are answered in batches of up to ``batch_size``
    by one worker thread. A temperature of ``None`` or 0 is greedy; above 0, tokens are drawn with
    the request's seed plus its sample number, so that a draw does not depend on what else was in
    the batch. The generation settings shipped with a model (its own temperature, top-k, penalties)
    are not applied; only its end-of-turn tokens are.
    """

    keyed_by_id = False

    def __init__(self, loaded: Loaded, *, batch_size: int = 8) -> None:
        """Raises ``OverrefusalError`` for a batch size below 1."""
        if batch_size < 1:
            raise OverrefusalError(
                f"{loaded.spec}: batch_size must be at least 1, not {batch_size}"
            )
        self.spec = loaded.spec
        self.identity = loaded.identity
        self._model = loaded.model
        self._tokenizer = loaded.tokenizer
        self._batch_size = batch_size
        self._jobs: deque[_Job] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._worker: ThreadPoolExecutor | None = None
        self._stop = threading.Event()

    async def answer(self, request: Request) -> Response:
        """The model's response; ``error`` is set where this request cannot be generated."""
        try:
            text = render(self._tokenizer, request.messages)
        except OverrefusalError as error:
            return Response(error=str(error))
        job = _Job(request, text, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._work())
        return await job.future

    async def close(self) -> None:
        """Ends the batch that is being generated and the worker; open requests are cancelled."""
        self._stop.set()
        if self._drain is not None:
            self._drain.cancel()
        for job in self._jobs:
            job.future.cancel()
        self._jobs.clear()
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await asyncio.to_thread(worker.shutdown)
        self._stop.clear()

    async def _work(self) -> None:
        # One turn of the loop, so that callers that start together share a batch.
        await asyncio.sleep(0)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="hf")
        loop = asyncio.get_running_loop()
        while jobs := self._next_batch():
            try:
                responses = await loop.run_in_executor(self._worker, self._generate, jobs)
            except asyncio.CancelledError:
                for job in jobs:
                    job.future.cancel()
                raise
            except Exception as error:
                # The callers see it; the next batch is still served.
                for job in jobs:
                    if not job.future.done():
                        job.future.set_exception(error)
                continue
            for job, response in zip(jobs, responses, strict=True):
                if not job.future.done():
                    job.future.set_result(response)

    def _next_batch(self) -> list[_Job]:
        """The oldest waiting request, and those that can be generated with it."""
        batch: list[_Job] = []
        others: deque[_Job] = deque()
        while self._jobs and len(batch) < self._batch_size:
            job = self._jobs.popleft()
            if job.future.cancelled():
                continue
            if not batch or _together(job.request.sampling, batch[0].request.sampling):
                batch.append(job)
            else:
                others.append(job)
        self._jobs.extendleft(reversed(others))
        return batch

    def _generate(self, jobs: list[_Job]) -> list[Response]:
        try:
            return self._generate_batch(jobs)
        except RuntimeError as error:  # Out of memory is one; a smaller batch may fit.
            if len(jobs) == 1:
                return [Response(error=f"the generation failed ({printable(error)})")]
        return [self._generate([job])[0] for job in jobs]

    def _generate_batch(self, jobs: list[_Job]) -> list[Response]:
        import torch
        import transformers

        started = time.monotonic()
        sampling = jobs[0].request.sampling
        encoded = self._tokenizer(
            [job.text for job in jobs],
            padding=True,
            return_tensors="pt",
            add_special_tokens=False,
            return_token_type_ids=False,
        ).to(self._model.device)
        width = encoded["input_ids"].shape[1]
        limit = sampling.max_tokens or DEFAULT_MAX_TOKENS
        context = getattr(self._model.config, "max_position_embeddings", None)
        if context is not None and width + limit > context:
            if len(jobs) > 1:
                # Padding counts: one long prompt must not shorten its neighbours' answers.
                return [self._generate_batch([job])[0] for job in jobs]
            if width >= context:
                said = f"the prompt has {width} tokens, the model's context holds {context}"
                return [Response(error=said, input_tokens=width)]
            limit = context - width
        ends = _end_tokens(self._model, self._tokenizer)
        settings: Any = transformers.GenerationConfig
        config = settings(
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=ends or None,
            pad_token_id=self._tokenizer.pad_token_id,
        )
        with torch.inference_mode():
            produced = self._model.generate(
                **encoded,
                generation_config=config,
                logits_processor=_draw([job.request for job in jobs]),
                stopping_criteria=[self._stopped],
            )[:, width:]
        latency = time.monotonic() - started
        inputs = encoded["attention_mask"].sum(dim=1).tolist()
        return [
            self._response(job, row, ends, limit, tokens, latency)
            for job, row, tokens in zip(jobs, produced.tolist(), inputs, strict=True)
        ]

    def _stopped(self, ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        import torch

        return torch.full((ids.shape[0],), self._stop.is_set(), device=ids.device)

    def _response(
        self, job: _Job, row: list[int], ends: list[int], limit: int, tokens: int, latency: float
    ) -> Response:
        end = next((i for i, token in enumerate(row) if token in ends), None)
        body = row if end is None else row[:end]
        truncated = end is None and len(row) >= limit
        # Some models mark thinking with special tokens: they must be seen to be taken off.
        raw = self._tokenizer.decode(body, skip_special_tokens=False)
        opened = _OPEN_THINKING.search(job.text)
        text, thinking = split_thinking(opened[1] + raw if opened else raw)
        if thinking is None:
            text = self._tokenizer.decode(body, skip_special_tokens=True)
        else:
            for special in self._tokenizer.all_special_tokens:
                text = text.replace(special, "")
        return Response(
            text=text.strip(),
            thinking=thinking,
            finish_reason="length" if truncated else "stop",
            truncated=truncated,
            model_reported=self.spec.removeprefix("hf/"),
            input_tokens=tokens,
            output_tokens=len(row) if end is None else end + 1,
            latency_s=latency,
            raw={"text": raw},
        )


def _together(a: Sampling, b: Sampling) -> bool:
    return (a.temperature, a.top_p, a.max_tokens) == (b.temperature, b.top_p, b.max_tokens)


def _draw(requests: Sequence[Request]) -> list[Any]:
    """Logits processors after which the arg-max is a draw; none where the answer is greedy.

    Adding Gumbel noise to logits and taking the largest draws from their softmax (Gumbel, 1954),
    and lets every row have a generator of its own.
    """
    sampling = requests[0].sampling
    if not sampling.temperature:
        return []
    import torch
    from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper

    generators = []
    for request in requests:
        generator = torch.Generator()
        seed = sample_seed(request)
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        generators.append(generator)

    def add_noise(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        uniform = torch.stack(
            [torch.rand(scores.shape[1], generator=g, dtype=torch.float64) for g in generators]
        )
        noise = -torch.log(-torch.log(uniform))
        return scores + noise.to(scores.device, scores.dtype)

    processors: list[Any] = [TemperatureLogitsWarper(float(sampling.temperature))]
    if sampling.top_p is not None and sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    return LogitsProcessorList([*processors, add_noise])


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a turn: those of the generation settings and the tokenizer's own."""
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return sorted({e for e in [*ends, tokenizer.eos_token_id] if e is not None})
