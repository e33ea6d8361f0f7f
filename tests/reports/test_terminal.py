import io
import re

import pytest
from rich.cells import cell_len
from rich.console import Console

from overrefusal import Expected, Outcome, Pattern
from overrefusal.reports.terminal import print_comparison, print_gate, print_run, print_runs
from overrefusal.statistics import Thresholds, decide
from tests.reports.made_runs import made_run, prompt

C, R = Outcome.COMPLIED, Outcome.REFUSED
HOSTILE = "\x1b[31mred\x1b[0m\x00\u202e\u061c\u200b\U000e0041[bold]x[/bold]"
BAR = re.compile("[█▏▎▍▌▋▊▉]+")


def printed(width, show, *arguments):
    out = io.StringIO()
    show(Console(file=out, width=width, highlight=False), *arguments)
    return out.getvalue()


def exam(categories, name="category {} of many with a long name"):
    """In category i of n, i of n prompts are declined."""
    patterns = list(Pattern)
    answers = {
        prompt(f"c{i}-{k}", category=name.format(i), pattern=patterns[i % 6] if k else None): (
            R if k < i else C
        )
        for i in range(categories + 1)
        for k in range(categories)
    }
    harmful = {
        prompt(f"h{i}", Expected.REFUSE, category=name.format(i)): R for i in range(categories + 1)
    }
    return answers | harmful


@pytest.mark.parametrize("width", [40, 60, 80, 120])
@pytest.mark.parametrize("name", ["category {} of many with a long name", "{}", "分類 {} 長い名前"])
def test_a_run_fits_any_terminal_and_cuts_no_figure(tmp_path, width, name):
    text = printed(width, print_run, made_run(tmp_path, exam(4, name)))
    assert all(cell_len(line) <= width for line in text.splitlines())
    for share in ("100.0 %", "75.0 %", "50.0 %", "25.0 %"):
        assert share in text
    assert "\x1b" not in text
    # Only names may be cut.
    assert not re.search(r"[█\d%\]] ?…", text)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_bars_are_as_long_as_the_rates_are_high(tmp_path, width):
    lines = printed(width, print_run, made_run(tmp_path, exam(4))).splitlines()
    shown = [line for line in lines if line.lstrip().startswith("category")]
    lengths = [len(found[0]) if (found := BAR.search(line)) else 0 for line in shown]
    longest = lengths[0]
    assert longest >= 5
    for length, share in zip(lengths, (1, 0.75, 0.5, 0.25, 0), strict=True):
        assert length == pytest.approx(longest * share, abs=1)
    assert len(set(lengths)) == 5


def test_no_colour_reaches_a_terminal_that_wants_none(tmp_path, monkeypatch):
    run = made_run(tmp_path, exam(3))
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            out = io.StringIO()
            print_run(Console(file=out, width=80, force_terminal=True, highlight=False), run)
        assert not re.search(r"\x1b\[[\d;]*3[0-7]", out.getvalue()), name


def test_the_worst_twelve_categories_are_shown_and_the_rest_counted(tmp_path):
    text = printed(80, print_run, made_run(tmp_path, exam(14, "topic {:02}")))
    shown = re.findall(r"^  topic (\d\d)", text, re.MULTILINE)
    assert shown == [f"{i:02}" for i in range(14, 2, -1)]
    assert "and 3 more in `overrefusal report --markdown FILE`" in text


def test_patterns_show_no_harmful_side(tmp_path):
    lines = printed(80, print_run, made_run(tmp_path, exam(3))).splitlines()
    pattern = next(i for i, line in enumerate(lines) if line.startswith("  Pattern"))
    category = next(i for i, line in enumerate(lines) if line.startswith("  Category"))
    assert "harmful" not in lines[pattern - 1]
    assert "harmful" in lines[category - 1]
    assert any(line.startswith("  plain (no pattern)") for line in lines[pattern:category])


def test_runs_of_different_suites_are_told_apart(tmp_path):
    good = {prompt("a"): C, prompt("h", Expected.REFUSE): R}
    bad = {prompt("a"): R, prompt("h", Expected.REFUSE): C}
    runs = [
        made_run(tmp_path, good, "good"),
        made_run(tmp_path, bad, "bad"),
        made_run(tmp_path, bad, "elsewhere", suite="other exam", judge="llm/x"),
    ]
    text = printed(100, print_runs, runs)
    for word in ("Suite", "Judge", "exam", "other exam", "rules/1", "llm/x", "not comparable"):
        assert word in text
    starred = [line.split()[2] for line in text.splitlines() if re.match(r"\* +[0-9a-f]{8}", line)]
    assert starred == ["good"]
    for width in (40, 60, 80):
        text = printed(width, print_runs, runs)
        assert all(run.id in text for run in runs)
        assert text.count("0.0 %") >= 6
        assert all(cell_len(line) <= width for line in text.splitlines())


def test_a_comparison_says_what_it_leaves_out(tmp_path):
    names = [prompt("a"), prompt("b"), prompt("h", Expected.REFUSE)]
    one = made_run(tmp_path, dict(zip(names, (C, R, R), strict=True)), "one")
    two = made_run(tmp_path, dict(zip(names, (R, None, R), strict=True)), "two")
    text = printed(100, print_comparison, one, two, one.compare(two), 5)
    assert "1 harmless prompt declined now" in text
    assert "2 prompts in both runs, 1 left out (no judged response in one of them)" in text
    assert "left out" not in printed(100, print_comparison, one, one, one.compare(one), 5)


def test_hostile_text_is_shown_and_does_nothing(tmp_path):
    names = [
        prompt("a" + HOSTILE, category=HOSTILE, language=HOSTILE[:9]),
        prompt("b", category=HOSTILE + "2"),
        prompt("h", Expected.REFUSE),
    ]
    options = {"judge": HOSTILE.replace("\x00", ""), "suite": HOSTILE, "version": HOSTILE}
    one = made_run(tmp_path, dict(zip(names, (C, R, R), strict=True)), HOSTILE + "1", **options)
    two = made_run(tmp_path, dict(zip(names, (R, C, R), strict=True)), HOSTILE + "2", **options)
    text = printed(100, print_run, one) + printed(100, print_runs, [one, two])
    text += printed(100, print_comparison, one, two, one.compare(two), 5)
    assert not set("\x1b\x00\u202e\u061c\u200b\U000e0041") & set(text)
    assert "[bold]x[/bold]" in text


def test_a_gate_says_each_check_and_both_rates(tmp_path):
    run = made_run(tmp_path, {prompt("a"): R, prompt("h", Expected.REFUSE): R})
    result = decide(
        Thresholds(max_over_refusal=0.1, max_error_share=0.01),
        run.rates,
        failed_share=0.0,
        unfinished=["run"],
    )
    text = printed(100, print_gate, run, result)
    assert re.findall(r"^  (pass|FAIL)  (\w+)", text, re.MULTILINE) == [
        ("FAIL", "max_over_refusal"),
        ("pass", "max_error_share"),
        ("FAIL", "finished"),
    ]
    assert "over-refusal 100.0 % [20.7, 100.0], harmful refusal 100.0 %" in text
    assert text.endswith("gate failed\n")
