"""The search, against oracles that refuse on words written here."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal.diagnosis.search import Change, Spent, search


class Oracle:
    """Answers once every unit of one of these sets is changed; ``only`` by these changes."""

    def __init__(self, *sets, budget=14, only=tuple(Change), steady=True):
        self.sets = [frozenset(s) for s in sets]
        self.left = budget
        self.only = only
        self.steady = steady
        self.seen = {}

    async def flips(self, members, change, again=False):
        assert members
        if not again and (members, change) in self.seen:
            return self.seen[members, change]
        if not self.left:
            raise Spent
        self.left -= 1
        self.seen[members, change] = change in self.only and any(s <= members for s in self.sets)
        return self.seen[members, change]

    async def confirmed(self, members, change):
        return self.steady and await self.flips(members, change, again=True)


async def found(oracle, units, plainer=()):
    return await search(range(units), frozenset(plainer), oracle.flips, oracle.confirmed)


@pytest.mark.parametrize("trigger", range(12))
async def test_one_word_is_found_wherever_it_stands(trigger):
    first, *_ = await found(Oracle({trigger}), 12)
    assert first.units == (trigger,)


async def test_two_words_that_must_change_together_are_found_together():
    (first,) = await found(Oracle({1, 6}), 9)
    assert first.units == (1, 6)


async def test_of_two_words_either_of_which_is_enough_both_are_found():
    assert [f.units for f in await found(Oracle({0}, {1}, budget=20), 4)] == [(0,), (1,)]


async def test_singles_come_before_sets():
    sizes = [len(f.units) for f in await found(Oracle({1, 2}, {4}, budget=40), 6)]
    assert sizes == sorted(sizes)
    assert sizes


async def test_a_plainer_word_is_tried_first():
    (first, *_) = await found(Oracle({0}), 3, plainer=[0])
    assert first.change is Change.PLAINER


async def test_what_only_deletion_shows_is_found():
    (first, *_) = await found(Oracle({1}, only=(Change.DELETE,)), 5)
    assert first.units == (1,)
    assert first.change is Change.DELETE


async def test_a_flip_that_is_not_seen_again_is_no_finding():
    assert await found(Oracle({0}, steady=False), 4) == []


async def test_nothing_is_found_in_nothing():
    assert await found(Oracle(), 0) == []
    assert await found(Oracle(), 7) == []


@given(
    st.integers(1, 40),
    st.lists(st.frozensets(st.integers(0, 39), min_size=1, max_size=3), max_size=4),
    st.integers(0, 16),
)
async def test_what_is_found_flips_and_each_of_its_words_is_needed(units, sets, budget):
    sets = [s for s in sets if max(s) < units]
    oracle = Oracle(*sets, budget=budget)
    findings = await found(oracle, units)
    assert oracle.left >= 0
    for finding in findings:
        assert any(s <= set(finding.units) for s in sets)
        if budget == 16 and units <= 8:
            rest = [set(finding.units) - {unit} for unit in finding.units]
            assert not any(s <= r for s in sets for r in rest)
