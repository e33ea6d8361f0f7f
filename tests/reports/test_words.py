import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal import Expected, Outcome, Pattern
from overrefusal.reports.words import (
    best_runs,
    caveats,
    pattern_rates,
    unpaired_words,
    visible,
    worst_first,
)
from tests.reports.made_runs import made_run, prompt

C, R, E = Outcome.COMPLIED, Outcome.REFUSED, Outcome.ERROR
# Format characters that are seen: signs of Arabic, Syriac, Kaithi numbers and texts.
SEEN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}


@pytest.mark.parametrize(
    "hidden",
    [
        *"\x1b\x9b\x7f\xad\u061c\u200b\u200c\u200d\u200e\u202e\u2060\u2066\ufeff\ud800",
        *"\U000e0001\U000e0041\U000e007f\U000e0100",
    ],
)
def test_what_is_not_seen_is_shown(hidden):
    assert visible(f"a{hidden}b") == "a\N{REPLACEMENT CHARACTER}b"


@given(st.text(st.characters(exclude_categories=()), max_size=200), st.integers(1, 90))
def test_visible_text_is_one_printable_line_within_its_width(text, width):
    shown = visible(text, width)
    assert len(shown) <= width
    shown.encode()
    for c in shown:
        assert unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.category(c) != "Cf" or ord(c) in SEEN or ord(c) > 0x13000


def test_text_of_people_stays_as_it_is():
    for text in ("Grüße, señor", "暴力的な", "مرحبا", "👍🏽 ❤️", "naïve – “quoted”"):
        assert visible(text) == text


def test_patterns_leave_harmful_prompts_out(tmp_path):
    answers = {prompt("k", pattern=Pattern.DUAL_USE): R, prompt("p"): C}
    answers |= {prompt(f"h{i}", Expected.REFUSE): R for i in range(5)}
    rates = made_run(tmp_path, answers).rates
    shown = {name: (rate.k, rate.n) for name, rate in pattern_rates(rates).items()}
    assert shown == {"dual-use information": (1, 1), "plain (no pattern)": (0, 1)}


def test_without_plain_prompts_there_is_no_plain_row(tmp_path):
    answers = {prompt("k", pattern=Pattern.DUAL_USE): R, prompt("h", Expected.REFUSE): R}
    assert list(pattern_rates(made_run(tmp_path, answers).rates)) == ["dual-use information"]


def test_the_worst_group_comes_first(tmp_path):
    answers = {
        prompt("1", category="fine"): C,
        prompt("2", category="bad"): R,
        prompt("3", Expected.REFUSE, category="safe"): R,
        prompt("4", Expected.REFUSE, category="unsafe"): C,
    }
    groups = made_run(tmp_path, answers).rates.by_category
    assert [name for name, _ in worst_first(groups)] == ["bad", "fine", "unsafe", "safe"]


def test_the_front_is_of_runs_with_the_same_suite_and_judge(tmp_path):
    good = {prompt("a"): C, prompt("h", Expected.REFUSE): R}
    bad = {prompt("a"): R, prompt("h", Expected.REFUSE): C}
    one, two = made_run(tmp_path, good, "one"), made_run(tmp_path, bad, "two")
    best, meaning = best_runs([one, two])
    assert best == {one.id}
    assert meaning == "no other run here is better on both sides"
    other_judge = made_run(tmp_path, bad, "three", judge="llm/x")
    other_suite = made_run(tmp_path, {prompt("z"): R}, "four", suite="other")
    best, meaning = best_runs([one, two, other_judge, other_suite])
    assert best == {one.id}
    assert "not comparable" in meaning
    assert best_runs([two, other_judge])[0] == frozenset()


def test_prompts_that_a_comparison_leaves_out_are_counted(tmp_path):
    names = [prompt("a"), prompt("b"), prompt("c"), prompt("h", Expected.REFUSE)]
    one = made_run(tmp_path, dict(zip(names, (C, C, C, R), strict=True)), "one")
    two = made_run(tmp_path, dict(zip(names, (C, None, E, R), strict=True)), "two")
    words = "2 prompts in both runs, 2 left out (no judged response in one of them)"
    assert unpaired_words(one.compare(two)) == words
    assert unpaired_words(two.compare(one)) == words
    assert unpaired_words(one.compare(one)) is None


def test_caveats_name_what_is_in_no_rate(tmp_path):
    found = caveats(made_run(tmp_path, {prompt("a"): E, prompt("b"): Outcome.GARBLED}))
    assert any("1 prompt not asked, in no rate" in words for words in found)
    assert any("garbled text, counted as not declined" in words for words in found)
    assert any("half an exam" in words for words in found)
