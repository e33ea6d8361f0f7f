import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal import Expected, Outcome, Pattern
from overrefusal.reports.markdown import (
    comparison_markdown,
    escaped,
    gate_markdown,
    run_markdown,
    runs_markdown,
)
from overrefusal.statistics import Thresholds, decide
from tests.reports.made_runs import made_run, prompt

C, R = Outcome.COMPLIED, Outcome.REFUSED
HOSTILE = "<img src=x> @team https://evil.example www.evil.example #12 | `x` [a](b) \u200b*b*"


@pytest.mark.parametrize(
    ("text", "inert"),
    [
        ("@team", "`@`team"),
        ("a@b.example", "a`@`b.example"),
        ("@@x", "`@@`x"),
        ("\\@x", "\\\\`@`x"),
        ("org/repo#12", "org/repo`#`12"),
        ("\\#1", "\\\\`#`1"),
        ("# title", "\\# title"),
        ("http://a", "http&#58;//a"),
        ("www.a.example WWW.b.example", "www&#46;a.example WWW&#46;b.example"),
        ("a | b", "a \\| b"),
        ("&lt;", "\\&lt;"),
        ("two\nlines", "two lines"),
    ],
)
def test_nothing_in_text_is_markup(text, inert):
    assert escaped(text) == inert


@given(st.text(st.sampled_from("@#1:/w.WwW\\`*_[]()<>|&a \n\u200b"), max_size=60))
def test_whatever_the_text_no_mention_link_or_markup_is_left(text):
    inert = escaped(text)
    # Code spans that hold nothing but marks, and escaped characters, do nothing.
    rest = re.sub(r"\\[^a-zA-Z0-9\s]|`[@#]+`|&#(?:46|58);", "", inert)
    assert not re.search(r"[\\`*_\[\]()<>|&@#\n]|://|www\.", rest, re.IGNORECASE)


def runs_of(tmp_path, **options):
    names = [
        prompt("a" + options.get("suite", ""), category=HOSTILE, pattern=Pattern.DUAL_USE),
        prompt("b", category="(none)" if not options else HOSTILE + "2"),
        prompt("h", Expected.REFUSE, category="harm"),
    ]
    one = made_run(tmp_path, dict(zip(names, (C, R, R), strict=True)), "one", **options)
    two = made_run(tmp_path, dict(zip(names, (R, None, R), strict=True)), "two", **options)
    return one, two


def test_hostile_text_is_inert_in_every_report(tmp_path):
    one, two = runs_of(tmp_path, suite=HOSTILE, version=HOSTILE, judge=HOSTILE)
    result = decide(Thresholds(max_over_refusal=0.1), one.rates)
    for text in (
        runs_markdown([one, two]),
        comparison_markdown(one, two, one.compare(two), 5),
        gate_markdown(one, result),
    ):
        assert not re.search(r"(?<!\\)(<|\]\()", text)
        assert "https://" not in text
        assert "www." not in text
        assert "@team" not in text
        assert "\u200b" not in text
        assert "`x`" not in text
        for block in text.split("\n\n"):
            if block.startswith("|"):
                cells = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
                assert len(cells) == 1, block


def test_a_run_shows_patterns_without_and_categories_with_the_harmful_side(tmp_path):
    one, _ = runs_of(tmp_path)
    text = run_markdown(one)
    assert "| pattern | over-refusal | n |" in text
    assert "| plain \\(no pattern\\) | 100.0 % [20.7, 100.0] | 1 |" in text
    assert "| category | over-refusal | n | harmful refusal | n |" in text
    assert "| harm | – | 0 | 100.0 % [20.7, 100.0] | 1 |" in text


def test_several_runs_are_told_apart(tmp_path):
    one, two = runs_of(tmp_path)
    other = made_run(tmp_path, {prompt("z"): C, prompt("y"): R}, "three", judge="llm/x")
    text = runs_markdown([one, two, other])
    assert f"|  | `{other.id}` | three | exam | llm/x | 50.0 % [9.5, 90.5] | – |" in text
    assert "rates of different suites or judges are not comparable" in text


def test_a_comparison_says_what_it_leaves_out(tmp_path):
    one, two = runs_of(tmp_path)
    text = comparison_markdown(one, two, one.compare(two), 5)
    assert "2 prompts in both runs, 1 left out (no judged response in one of them)" in text
    assert "left out" not in comparison_markdown(one, one, one.compare(one), 5)
    assert "No prompt flipped." in comparison_markdown(one, one, one.compare(one), 5)
