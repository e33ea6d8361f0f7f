"""The search for the words that a refusal hangs on: group testing under a query budget.

Black box: a change of the prompt is asked, and only a change that was seen to turn the refusal into
an answer, twice, is a finding. The most suspicious unit is tried alone, for most refusals hang on
one word; then ever more of the suspicious ones together until the model answers, and of these a
minimal set is sought by bisection, as in adaptive group testing (Hwang 1972) and with the
preference of QuickXplain (Junker 2004) for what comes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

ENOUGH = 3
"""Findings after which the search stops."""
_FIRST = 1
"""Units tried alone before any are tried together."""
_DELETED = 3
"""Units that are also tried alone by deletion."""


class Change(StrEnum):
    """What is done to a unit."""

    PLAINER = "plainer"
    """A plainer word in its place, which keeps the sense."""
    NEUTRAL = "neutral"
    """A neutral word of the same kind in its place, which keeps the grammar."""
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Found:
    """Units whose change turned the refusal into an answer, each of them needed for it."""

    units: tuple[int, ...]
    """Indices, the most suspicious first."""
    change: Change


class Spent(Exception):
    """No question is left in the budget."""


Flips = Callable[[frozenset[int], Change], Awaitable[bool]]
"""Whether this change of these units makes the model answer; raises ``Spent``."""


async def search(
    order: Sequence[int],
    plainer: frozenset[int],
    flips: Flips,
    confirmed: Flips,
) -> list[Found]:
    """Findings, single units first, in the order of suspicion.

    ``order`` lists the units, the most suspicious first; ``plainer`` are those that have a plainer
    word. ``flips`` asks once, ``confirmed`` asks the same again.
    """
    found: list[Found] = []

    async def keep(members: Sequence[int], change: Change) -> bool:
        if not await confirmed(frozenset(members), change):
            return False
        found.append(Found(tuple(sorted(members, key=order.index)), change))
        return True

    def left() -> list[int]:
        hit = {unit for finding in found for unit in finding.units}
        return [unit for unit in order if unit not in hit]

    async def alone(units: Sequence[int], *, deleted: bool) -> None:
        for unit in units:
            change = Change.PLAINER if unit in plainer else Change.NEUTRAL
            if deleted:
                change = Change.DELETE
            if len(found) < ENOUGH and await flips(frozenset([unit]), change):
                await keep([unit], change)

    async def together() -> None:
        while len(found) < ENOUGH and len(left()) > 1:
            members, change = await _together(left(), flips)
            if not members or not await keep(members, change):
                return

    try:
        await alone(order[:_FIRST], deleted=False)
        if not found:
            await together()
        await alone([unit for unit in left() if unit in order[:_DELETED]], deleted=True)
        if found:
            await together()
    except Spent:
        pass
    return sorted(found, key=lambda f: (len(f.units), order.index(f.units[0])))


async def _together(units: Sequence[int], flips: Flips) -> tuple[list[int], Change]:
    """A minimal set of units that flips, the suspicious ones preferred; empty where none does."""
    for change in (Change.NEUTRAL, Change.DELETE):
        members = await _minimal(units, change, flips)
        if members:
            return members, change
    return [], Change.NEUTRAL


async def _minimal(units: Sequence[int], change: Change, flips: Flips) -> list[int]:
    """The last unit of the shortest prefix that flips is needed; with it kept, so is the last one
    of the shortest prefix that flips then, until the needed ones flip by themselves.
    """
    needed: list[int] = []
    while units:
        size = await _prefix(units, needed, change, flips)
        if size == 0:
            break
        needed.append(units[size - 1])
        if await flips(frozenset(needed), change):
            return needed
        units = units[: size - 1]
    return []


async def _prefix(units: Sequence[int], needed: Sequence[int], change: Change, flips: Flips) -> int:
    """How many of the first units flip together with the ``needed`` ones; 0 where all do not."""
    low, size = 0, 1
    while not await flips(frozenset([*needed, *units[:size]]), change):
        if size == len(units):
            return 0
        low, size = size, min(2 * size, len(units))
    while low + 1 < size:
        middle = (low + size) // 2
        if await flips(frozenset([*needed, *units[:middle]]), change):
            size = middle
        else:
            low = middle
    return size
