"""Answers to many prompts at once: rows leave the batch when they end, waiting ones join it.

In float32 a greedy answer is the one that ``model.generate`` gives to the prompt alone, token by
token. Matrix products of other shapes round differently, so where the two best tokens are closer
than rounding can tell apart, the row is answered by ``model.generate`` alone.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import transformers

from overrefusal.errors import OverrefusalError
from overrefusal.models.local.load import Loaded
from overrefusal.models.local.sampling import Draw
from overrefusal.models.local.slots import SLACK, SlotCache, bytes_per_token, spliceable

ROWS_CPU, ROWS_GPU = 192, 512
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
    """``rows`` with the one to begin with last: the shortest prompts first, so that all rows are
    shown a cache of about their own length."""
    return sorted(rows, key=lambda row: -len(row.prompt))


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
        self._cancelled: Callable[[], bool] = lambda: False

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
        self._cancelled = cancelled
        try:
            while not cancelled():
                try:
                    if not self._turn(waiting(), done):
                        return
                except (RuntimeError, MemoryError) as error:
                    if not out_of_memory(error):
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
        if not joining:
            return
        joining.sort(key=_length, reverse=True)
        most = PREFILL_GPU if self._gpu else PREFILL_CPU
        group: list[Row] = []
        try:
            if self._cache is None:
                self._cache = SlotCache(self._model.device)
            self._cache.reserve(len(self._rows) + len(joining), _length(joining[0]))
            while joining:
                count = grouped([_length(row) for row in joining], most, PADDING)
                group, joining = joining[:count], joining[count:]
                self._prefill(group, done)
        except BaseException as error:
            waiting += joining
            if out_of_memory(error):
                # Rows of the group that are under way already wait again with the others.
                waiting += [row for row in group if row.finish is None and row not in self._rows]
            raise

    def _prefill(self, group: list[Row], done: Callable[[Row], None]) -> None:
        assert self._cache is not None
        contexts = [[*row.prompt, *row.tokens] for row in group]
        ids, positions, mask = left_padded(contexts, self._pad, self._model.device)
        self._cache.join([len(context) for context in contexts])
        logits = self._forward(ids, positions, mask)
        first = len(self._rows)
        self._rows += group
        self._take(logits, first, done)

    def _step(self, done: Callable[[Row], None]) -> None:
        assert self._cache is not None
        device = self._model.device
        ids = torch.tensor([[row.tokens[-1]] for row in self._rows], device=device)
        positions = torch.tensor([[length] for length in self._cache.lengths], device=device)
        logits = self._forward(ids, positions, self._cache.step())
        self._take(logits, 0, done)

    def _forward(
        self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor | None
    ) -> torch.Tensor:
        """Logits after the last position (rows, vocabulary)."""
        options = {"logits_to_keep": 1} if self._few_logits else {}
        out = self._model(
            input_ids=ids,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=self._cache,
            use_cache=True,
            **options,
        )
        logits: torch.Tensor = out.logits[:, -1]
        return logits

    def _take(self, logits: torch.Tensor, first: int, done: Callable[[Row], None]) -> None:
        """Give the rows from ``first`` on their next tokens; those that are complete leave."""
        best, chosen = logits.topk(2)
        # The scale of a row's logits, from some of them: rounding errors are in proportion to it.
        scale = torch.maximum(best[:, 0].abs(), logits[:, ::16].abs().amax(dim=-1))
        tied = (best[:, 0] - best[:, 1] <= NEAR * scale).tolist()
        gone: list[int] = []
        for i, token in enumerate(chosen[:, 0].tolist()):
            row = self._rows[first + i]
            if row.draw is not None:
                token = row.draw(logits[i])
            elif tied[i] and self._exact:
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
        (tokens,) = generate_alike(self._loaded, [row], self._cancelled)
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
        answers = generate_alike(self._loaded, group, self._cancelled)
        if self._cancelled():
            return False
        for row, tokens in zip(group, answers, strict=True):
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


def generate_alike(
    loaded: Loaded, rows: Sequence[Row], cancelled: Callable[[], bool] = lambda: False
) -> list[list[int]]:
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

    def stopped(ids: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return torch.full((ids.shape[0],), cancelled(), device=ids.device)

    produced = loaded.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        generation_config=config,
        logits_processor=[draw] if any(row.draw for row in rows) else [],
        stopping_criteria=[stopped],
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
    """Columns of cache that the row can come to need."""
    return len(row.prompt) + row.limit + SLACK


def grouped(lengths: Sequence[int], most: int, padding: int) -> int:
    """How many of ``lengths``, longest first, one forward pass is to read together."""
    for count, length in enumerate(lengths):
        padding -= lengths[0] - length
        if count and (padding < 0 or lengths[0] * (count + 1) > most):
            return count
    return len(lengths)


def left_padded(
    prompts: Sequence[Sequence[int]], pad: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Ids, positions and mask, each (prompts, longest); no mask where nothing is padded."""
    width = max(map(len, prompts))
    gaps = [width - len(prompt) for prompt in prompts]
    ids = [[pad] * gap + list(prompt) for gap, prompt in zip(gaps, prompts, strict=True)]
    positions = [[0] * gap + list(range(width - gap)) for gap in gaps]
    mask = [[False] * gap + [True] * (width - gap) for gap in gaps]
    return (
        torch.tensor(ids, device=device),
        torch.tensor(positions, device=device),
        torch.tensor(mask, device=device) if any(gaps) else None,
    )


def _budget(model: Any) -> int:
    """Tokens that the cache may hold in the memory that is free now."""
    devices = {p.device for p in model.parameters()}
    if model.device.type == "cuda":
        free = 0
        for device in (d for d in devices if d.type == "cuda"):
            held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            free += torch.cuda.mem_get_info(device)[0] + held
    else:
        free = _free_memory()
    return max(1, int(MEMORY * free) // bytes_per_token(model))


def _free_memory() -> int:
    """Bytes of main memory that can be had without swapping; 2 GiB where nobody says."""
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = dict(line.split(":", 1) for line in file)
        return 1024 * int(found["MemAvailable"].split()[0])
    except (OSError, ValueError, KeyError, IndexError):
        return 1 << 31


def out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    said = str(error).lower()
    return "out of memory" in said or "allocate memory" in said or "not enough memory" in said
