"""Answers to many prompts at once: rows leave the batch when they end, waiting ones join it.

In float32 a greedy answer is the one that ``model.generate`` gives to the prompt alone, token by
token. Matrix products of other shapes round differently, so where the two best tokens are closer
than rounding can tell apart, the row is answered by ``model.generate`` alone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import transformers

from overrefusal.errors import OverrefusalError
from overrefusal.models.local.load import Loaded
from overrefusal.models.local.sampling import Draw
from overrefusal.models.local.slots import SlotCache, bytes_per_token, spliceable

ROWS_CPU, ROWS_GPU = 128, 512
"""More rows than these make a step slower without making it cheaper."""
PREFILL_CPU, PREFILL_GPU = 512, 16384
"""Tokens of new prompts in one forward pass."""
PADDING = 64
"""Padding tokens in one such pass that cost less than another pass."""
REFILL = 4
"""Waiting rows join when one in so many places is free."""
MEMORY = 0.6
"""Share of the free memory that the cache may take; the rest is for the passes themselves."""
NEAR = 128 * torch.finfo(torch.float32).eps
"""Closer than this, relative to the largest logit, two tokens count as tied."""

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Row:
    """A prompt and what has become of it."""

    prompt: Sequence[int]
    limit: int
    """Tokens of its answer at most; at least 1."""
    draw: Draw | None = None
    """How to draw tokens; ``None`` takes the likeliest."""
    stop: Callable[[list[int]], bool] | None = None
    """Asked after every token whether the answer so far is enough."""
    tokens: list[int] = field(default_factory=list)
    """The answer so far, its end token included."""
    finish: str | None = None
    """``end``, ``limit`` or ``stop``; ``None`` while it is under way, or where it failed."""
    error: str | None = None

    def add(self, token: int, ends: frozenset[int]) -> bool:
        """Take one more token; whether the answer is complete with it."""
        self.tokens.append(token)
        if token in ends:
            self.finish = "end"
        elif len(self.tokens) >= self.limit:
            self.finish = "limit"
        elif self.stop is not None and self.stop(self.tokens):
            self.finish = "stop"
        return self.finish is not None


def generate(
    loaded: Loaded,
    prompts: Sequence[Sequence[int]],
    limits: int | Sequence[int],
    *,
    stop: Callable[[int, list[int]], bool] | None = None,
    on_done: Callable[[int, list[int]], None] | None = None,
) -> list[list[int]]:
    """The likeliest continuation of each of ``prompts``, of at most its limit of tokens.

    A continuation that ended includes its end token. ``stop`` is given a prompt's index and its
    tokens so far, and ends it by returning true; ``on_done`` is told of each as it is finished.
    Hooks on the model see left-padded batches of changing make-up; the last position is always a
    row's newest token.

    Raises ``OverrefusalError`` where a prompt is empty or does not fit the model's context, or
    memory does not hold even one.
    """
    each = [limits] * len(prompts) if isinstance(limits, int) else list(limits)
    context = context_of(loaded)
    index: dict[int, int] = {}
    rows: list[Row] = []
    for i, (prompt, limit) in enumerate(zip(prompts, each, strict=True)):
        if not prompt or limit < 1:
            raise OverrefusalError(f"prompt {i} has {len(prompt)} tokens and limit {limit}")
        if len(prompt) >= context:
            raise OverrefusalError(
                f"prompt {i} has {len(prompt)} tokens, the context of {loaded.spec} holds {context}"
            )
        row = Row(list(prompt), min(limit, context - len(prompt)))
        if stop is not None:
            row.stop = partial(stop, i)
        index[id(row)] = i
        rows.append(row)

    def done(row: Row) -> None:
        if row.error is not None:
            raise OverrefusalError(f"{loaded.spec}: prompt {index[id(row)]}: {row.error}")
        if on_done is not None:
            on_done(index[id(row)], row.tokens)

    waiting = arranged(rows)
    Batch(loaded).run(lambda: waiting, done)
    return [row.tokens for row in rows]


def arranged(rows: Iterable[Row]) -> list[Row]:
    """``rows`` with the one to begin with last: long answers early, like lengths together."""
    return sorted(rows, key=lambda row: (row.limit.bit_length(), len(row.prompt)))


def context_of(loaded: Loaded) -> int:
    """Tokens that prompt and answer may have together."""
    config = loaded.model.config.get_text_config(decoder=True)
    return int(getattr(config, "max_position_embeddings", None) or 1 << 60)


class Batch:
    """The rows under way on one model."""

    def __init__(self, loaded: Loaded, budget: int | None = None) -> None:
        """``budget`` is the number of tokens that the cache may hold; by default what free memory
        allows.
        """
        self._loaded = loaded
        self._model = loaded.model
        self._gpu = loaded.model.device.type != "cpu"
        self._ends = end_tokens(loaded)
        self._pad = int(loaded.tokenizer.pad_token_id)
        self._splice = spliceable(loaded.model)
        self._exact = loaded.model.dtype == torch.float32
        self._few_logits = loaded.model._supports_logits_to_keep()
        self.budget = budget or _budget(loaded.model)
        self._capacity = ROWS_GPU if self._gpu else ROWS_CPU
        self._rows: list[Row] = []
        self._cache: SlotCache | None = None
        self._last = torch.zeros(0, 1, dtype=torch.long)

    @torch.inference_mode()
    def run(
        self,
        waiting: Callable[[], list[Row]],
        done: Callable[[Row], None],
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        """Answer all rows that ``waiting`` holds, and those that come meanwhile.

        ``waiting`` returns the list of rows not begun, the next one last; rows are taken from it.
        ``done`` is told of each row as it is finished. Ends when no row is left, or ``cancelled``.
        """
        try:
            while not cancelled():
                try:
                    if not self._turn(waiting(), done):
                        return
                except (RuntimeError, MemoryError) as error:
                    if not _out_of_memory(error):
                        raise
                    self._shrink(waiting(), done)
        finally:
            self._rows, self._cache = [], None

    def _turn(self, waiting: list[Row], done: Callable[[Row], None]) -> bool:
        """Let rows join where there is room, then one more token of each; false if none is left."""
        if not self._splice:
            return self._alike(waiting, done)
        if waiting and len(self._rows) * REFILL <= self._limit(waiting) * (REFILL - 1):
            self._admit(waiting, done)
        if self._rows:
            self._step(done)
        return bool(self._rows or waiting)

    def _limit(self, waiting: list[Row]) -> int:
        """Rows that may be under way together, the next waiting one among them."""
        longest = max(_need(row) for row in (*self._rows, waiting[-1]))
        return max(1, min(self._capacity, self.budget // longest))

    def _admit(self, waiting: list[Row], done: Callable[[Row], None]) -> None:
        longest = max((_need(row) for row in self._rows), default=0)
        joining: list[Row] = []
        while waiting:
            longest = max(longest, _need(waiting[-1]))
            count = len(self._rows) + len(joining) + 1
            if count > 1 and (count > self._capacity or count * longest > self.budget):
                break
            joining.append(waiting.pop())
        joining.sort(key=_length, reverse=True)
        while joining:
            group = _group(joining, PREFILL_GPU if self._gpu else PREFILL_CPU)
            del joining[: len(group)]
            try:
                self._prefill(group, done)
            except BaseException:
                waiting += [*joining, *(row for row in group if row not in self._rows)]
                raise

    def _prefill(self, group: list[Row], done: Callable[[Row], None]) -> None:
        if self._cache is None:
            self._cache = SlotCache(self._capacity, self._model.device)
        lengths = [_length(row) for row in group]
        width = lengths[0]
        ids = [
            [self._pad] * (width - length) + [*row.prompt, *row.tokens]
            for row, length in zip(group, lengths, strict=True)
        ]
        positions = [[0] * (width - length) + list(range(length)) for length in lengths]
        first = len(self._rows)
        mask = self._cache.join(lengths)
        logits = self._forward(ids, positions, mask)
        self._rows += group
        self._take(logits, first, done)

    def _step(self, done: Callable[[Row], None]) -> None:
        assert self._cache is not None
        positions = [[length] for length in self._cache.lengths]
        mask = self._cache.step()
        logits = self._forward([[row.tokens[-1]] for row in self._rows], positions, mask)
        self._take(logits, 0, done)

    def _forward(
        self, ids: list[list[int]], positions: list[list[int]], mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Logits after the last position (rows, vocabulary)."""
        device = self._model.device
        options = {"logits_to_keep": 1} if self._few_logits else {}
        out = self._model(
            input_ids=torch.tensor(ids, device=device),
            position_ids=torch.tensor(positions, device=device),
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            **options,
        )
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def _take(self, logits: torch.Tensor, first: int, done: Callable[[Row], None]) -> None:
        """Give the rows from ``first`` on their next tokens; those that are complete leave."""
        best, chosen = logits.max(dim=-1)
        tied: list[bool] = []
        if self._exact:
            floor = best - NEAR * logits.abs().amax(dim=-1)
            tied = ((logits >= floor[:, None]).sum(dim=-1) > 1).tolist()
        gone: list[int] = []
        for i, token in enumerate(chosen.tolist()):
            row = self._rows[first + i]
            if row.draw is not None:
                token = row.draw(logits[i])
            elif tied and tied[i]:
                self._alone(row)
                gone.append(first + i)
                continue
            if row.add(token, self._ends):
                gone.append(first + i)
        if gone:
            assert self._cache is not None
            finished = [self._rows[i] for i in gone]
            self._rows = [self._rows[i] for i in self._cache.leave(gone)]
            for row in finished:
                done(row)

    def _alone(self, row: Row) -> None:
        """Answer ``row`` to its end by itself."""
        (tokens,) = generate_alike(self._loaded, [row])
        for token in tokens[len(row.tokens) :]:
            if row.add(token, self._ends):
                break

    def _alike(self, waiting: list[Row], done: Callable[[Row], None]) -> bool:
        """Answer a batch of prompts of one length, for models whose memory cannot be spliced."""
        if not waiting:
            return False
        width = len(waiting[-1].prompt)
        group = [row for row in reversed(waiting) if len(row.prompt) == width]
        group = group[: self._limit(waiting)]
        for row, tokens in zip(group, generate_alike(self._loaded, group), strict=True):
            for token in tokens:
                if row.add(token, self._ends):
                    break
            waiting.remove(row)
            done(row)
        return True

    def _shrink(self, waiting: list[Row], done: Callable[[Row], None]) -> None:
        """After running out of memory: half the budget, and all rows wait again."""
        begun, self._rows, self._cache = self._rows, [], None
        for row in begun:
            if row.finish is None:
                waiting.append(row)
            else:
                done(row)
        if self._gpu:
            torch.cuda.empty_cache()
        rows = [row for row in begun if row.finish is None] or waiting[-1:]
        held = max(1, len(rows)) * max(_need(row) for row in rows)
        if len(rows) == 1 and self.budget < 2 * held:
            row = waiting.pop(waiting.index(rows[0]))
            row.error = "out of memory, even alone"
            done(row)
            return
        self.budget = max(1, min(self.budget, held) // 2)
        _log.warning(
            "%s: out of memory; going on with batches of at most %d tokens",
            self._loaded.spec,
            self.budget,
        )


def generate_alike(loaded: Loaded, rows: Sequence[Row]) -> list[list[int]]:
    """What ``model.generate`` answers to rows whose prompts have one length."""
    ends = sorted(end_tokens(loaded))
    ids = torch.tensor([list(row.prompt) for row in rows], device=loaded.model.device)
    settings: Any = transformers.GenerationConfig
    limit = max(row.limit for row in rows)
    config = settings(
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=ends or None,
        pad_token_id=loaded.tokenizer.pad_token_id,
    )

    def draw(_: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        for i, row in enumerate(rows):
            if row.draw is not None:
                token = row.draw(scores[i])
                scores[i] = -torch.inf
                scores[i, token] = 0
        return scores

    produced = loaded.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=config,
        logits_processor=[draw] if any(row.draw for row in rows) else [],
    )
    tokens: list[list[int]] = produced[:, ids.shape[1] :].tolist()
    return tokens


def end_tokens(loaded: Loaded) -> frozenset[int]:
    """The tokens that end a turn: those of the generation settings and the tokenizer's own."""
    ends = loaded.model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    return frozenset(e for e in (*ends, loaded.tokenizer.eos_token_id) if e is not None)


def _length(row: Row) -> int:
    return len(row.prompt) + len(row.tokens)


def _need(row: Row) -> int:
    """Tokens of cache that the row can come to hold."""
    return len(row.prompt) + row.limit


def _group(rows: list[Row], most: int) -> list[Row]:
    """The first of ``rows``, longest first, that one forward pass is to read."""
    width, padding = _length(rows[0]), 0
    group: list[Row] = []
    for row in rows:
        padding += width - _length(row)
        if group and (padding > PADDING or width * (len(group) + 1) > most):
            break
        group.append(row)
    return group


def _budget(model: Any) -> int:
    """Tokens that the cache may hold in the memory that is free now."""
    if model.device.type == "cuda":
        free = sum(
            torch.cuda.mem_get_info(device)[0]
            for device in {p.device for p in model.parameters() if p.device.type == "cuda"}
        )
    else:
        try:
            free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            free = 1 << 31
    return max(1, int(MEMORY * free) // bytes_per_token(model))


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error).lower()
    return "out of memory" in said or "allocate memory" in said or "not enough memory" in said
