"""The spec ``bouncer``: the bundled model, answered by numpy in the core install."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from overrefusal.bouncer import folder
from overrefusal.bouncer.tokens import END, Tokenizer, render
from overrefusal.errors import OverrefusalError
from overrefusal.records import Request, Response

if TYPE_CHECKING:
    from overrefusal.bouncer.runtime import NumpyLlama

MAX_NEW_TOKENS = 64
MAX_BATCH = 96
GATHER_S = 0.003
"""How long the first request of a batch waits for company."""


class BouncerModel:
    """Bouncer behind the ``Model`` protocol; requests that come together are answered together.

    ``spec`` is ``bouncer`` or ``bouncer:VARIANT``. Answers are greedy: of the sampling only
    ``max_tokens`` counts.

    Raises:
        OverrefusalError: an unknown variant; weights that are missing or damaged.
    """

    keyed_by_id = False

    def __init__(self, spec: str = "bouncer", source: Path = folder.BUNDLED) -> None:
        self.spec = spec
        variant = spec.partition(":")[2] or "bouncer"
        shape, weights = folder.weights(variant, source)
        from overrefusal.bouncer.runtime import NumpyLlama

        self._llama: NumpyLlama = NumpyLlama(shape, weights)
        self._positions = shape.positions
        self._tokenizer = Tokenizer(source / "tokenizer.json")
        digest = hashlib.sha256((source / "tokenizer.json").read_bytes())
        for name in sorted(weights):
            digest.update(weights[name].tobytes())
        self.identity = f"{spec}@{digest.hexdigest()[:16]}"
        self._waiting: list[tuple[Request, asyncio.Future[Response]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def answer(self, request: Request) -> Response:
        """The greedy answer; ``error`` is set where the conversation is too long for the model."""
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await future

    async def close(self) -> None:
        """Nothing is held open; a batch under way is let go."""
        if self._worker is not None:
            self._worker.cancel()

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(GATHER_S)
            self._waiting.sort(key=lambda w: sum(len(m.content) for m in w[0].messages))
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            try:
                responses = await asyncio.to_thread(self._answer, [r for r, _ in batch])
            except BaseException as e:
                for _, future in batch:
                    if not future.done():
                        future.set_exception(
                            e if isinstance(e, Exception) else RuntimeError(str(e))
                        )
                raise
            for (_, future), response in zip(batch, responses, strict=True):
                if not future.done():
                    future.set_result(response)

    def _answer(self, requests: list[Request]) -> list[Response]:
        began = time.perf_counter()
        prompts = [self._tokenizer.encode(render(r.messages)) for r in requests]
        limits = [min(r.sampling.max_tokens or MAX_NEW_TOKENS, MAX_NEW_TOKENS) for r in requests]
        fits = [i for i, p in enumerate(prompts) if len(p) < self._positions]
        replies = dict(
            zip(
                fits,
                self._llama.generate([prompts[i] for i in fits], [limits[i] for i in fits], END)
                if fits
                else [],
                strict=True,
            )
        )
        latency = time.perf_counter() - began
        out: list[Response] = []
        for i, prompt in enumerate(prompts):
            if i not in replies:
                out.append(
                    Response(
                        error=f"{len(prompt)} tokens do not fit; Bouncer reads {self._positions}"
                    )
                )
                continue
            ended = replies[i][-1] == END
            out.append(
                Response(
                    text=self._tokenizer.decode(replies[i]).strip(),
                    finish_reason="stop" if ended else "length",
                    truncated=not ended,
                    model_reported=self.spec,
                    input_tokens=len(prompt),
                    output_tokens=len(replies[i]),
                    latency_s=latency,
                    cost_usd=0.0,
                )
            )
        return out


def open_bouncer(spec: str) -> BouncerModel:
    """The model of a spec ``bouncer`` or ``bouncer:VARIANT``.

    Raises:
        OverrefusalError: as ``BouncerModel`` does.
    """
    if spec.partition(":")[0] != "bouncer":
        raise OverrefusalError(f"{spec}: not a spec of Bouncer; write bouncer or bouncer:VARIANT")
    return BouncerModel(spec)
