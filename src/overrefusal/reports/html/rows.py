"""The prompts of several runs side by side, as a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import groupby

from overrefusal.records import Prompt
from overrefusal.runs.rows import Item
from overrefusal.runs.run import Run


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt and what each run made of it."""

    suite: int
    """Number of its suite among the suites of the runs."""
    prompt: Prompt
    items: dict[int, list[Item]]
    """By the run's number: one item a sample. Runs that have not come to the prompt are absent."""


def rows(runs: Sequence[Run]) -> Iterator[Row]:
    """Every prompt of the runs in its suite's order; runs of one suite share their rows."""
    suites: dict[str, list[int]] = {}
    for number, run in enumerate(runs):
        suites.setdefault(run.record.suite_hash, []).append(number)
    for suite, numbers in enumerate(suites.values()):
        positions = {
            observation.prompt_id: observation.position
            for number in numbers
            for observation in runs[number].store.observations(runs[number].record)
        }
        streams = [_placed(number, runs[number], positions) for number in numbers]
        for _, entries in groupby(merge(*streams, key=_position), key=_position):
            items: dict[int, list[Item]] = {}
            for _, number, item in entries:
                items.setdefault(number, []).append(item)
            yield Row(suite, next(iter(items.values()))[0].prompt, items)


def _placed(number: int, run: Run, positions: dict[str, int]) -> Iterator[tuple[int, int, Item]]:
    for item in run.items():
        # A run that still goes on may have grown since the positions were read.
        if item.prompt.id in positions:
            yield positions[item.prompt.id], number, item


def _position(entry: tuple[int, int, Item]) -> int:
    return entry[0]
