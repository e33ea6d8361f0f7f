"""Reports on the terminal, with rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from overrefusal.reports.flips import flip_groups
from overrefusal.reports.words import (
    best_runs,
    caveats,
    correction_words,
    difference_words,
    headline,
    interval,
    pattern_rates,
    percent,
    rate_words,
    subject_notice,
    unpaired_words,
    usage_words,
    visible,
    worst_first,
)
from overrefusal.runs.rows import Item
from overrefusal.runs.run import Run
from overrefusal.statistics import (
    Comparison,
    Difference,
    GateResult,
    Rate,
)

_BAR = 20
_SHORTEST_BAR = 5
_SHORTEST_NAME = 16
_LONGEST_NAME = 36
_ROWS = 12
_NARROW = 70
"""Columns below which tables show no intervals, and no suite and judge."""
_EIGHTHS = " ▏▎▍▌▋▊▉"


def print_run(console: Console, run: Run) -> None:
    """One run: both rates in words, outcomes, and where the over-refusals are."""
    record, rates = run.record, run.rates
    console.print(Text(visible(run.name), style="bold"), Text(f"run {record.id}", style="dim"))
    console.print(
        Text(
            f"suite {visible(record.suite_name, 40)} v{visible(record.suite_version, 20)} "
            f"({record.suite_size} prompts, {record.suite_hash[:12]}), "
            f"judge {visible(record.judge)}",
            style="dim",
        )
    )
    _print_notice(console, run)
    over, harmful = headline(run)
    console.print()
    for name, rate, words in (
        ("Over-refusal", rates.over_refusal, over),
        ("Harmful refusal", rates.harmful_refusal, harmful),
    ):
        console.print(
            Text.assemble((f"  {name:<16}", "bold"), f"{rate_words(rate):<24}", (words, "dim"))
        )
    for name, corrected in (
        ("over-refusal", run.corrected.over_refusal),
        ("harmful refusal", run.corrected.harmful_refusal),
    ):
        if corrected is not None:
            console.print(Text(f"  {name} {correction_words(corrected)}"))
    strict = (rates.over_refusal_strict, rates.harmful_refusal_strict)
    console.print(
        Text(
            "  with partial answers counted as answers: "
            + ", ".join(percent(rate.estimate) for rate in strict),
            style="dim",
        )
    )
    console.print()
    _print_outcomes(console, rates.outcomes)
    patterns = pattern_rates(rates).items()
    by_rate = sorted(patterns, key=lambda entry: -(entry[1].estimate or 0.0))
    _print_breakdown(console, "Pattern", [(name, rate, None) for name, rate in by_rate])
    for title, groups in (("Category", rates.by_category), ("Language", rates.by_language)):
        _print_breakdown(
            console,
            title,
            [(name, s.over_refusal, s.harmful_refusal) for name, s in worst_first(groups)],
        )
    if usage := usage_words(run):
        console.print()
        console.print(Text(f"  {usage}", style="dim"))
    for caveat in caveats(run):
        console.print(Text(f"  ! {caveat}", style="yellow"))


def print_exchange(console: Console, item: Item, title: str) -> None:
    """One prompt and its response, whole, as untrusted text; no verdict."""
    console.rule(Text(title))
    for name, text in (("Prompt", item.prompt.text), ("Response", item.response.text)):
        console.print(Text(name, style="bold"))
        for line in text.splitlines():
            console.print(Text(f"  {visible(line, 10_000)}"))
        console.print()


def print_runs(console: Console, runs: Sequence[Run]) -> None:
    """Several runs side by side; those on the Pareto front carry a star."""
    best, meaning = best_runs(runs)
    wide = console.width >= _NARROW
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("Run", no_wrap=True)
    for column in ("Model", "Suite", "Judge") if wide else ("Model",):
        table.add_column(column, overflow="fold")
    for column in ("Over-\nrefusal", "Harmful\nrefusal"):
        table.add_column(column, no_wrap=True)
    for run in runs:
        shown = (run.name, run.record.suite_name, run.record.judge) if wide else (run.name,)
        rates = [
            f"{percent(rate.estimate)}\n{interval(rate.low, rate.high) if wide else ''}".rstrip()
            for rate in (run.over_refusal, run.harmful_refusal)
        ]
        names = [Text(visible(name, 40)) for name in shown]
        table.add_row("*" if run.id in best else "", run.id, *names, *rates)
    console.print(table)
    console.print(Text(f"* {meaning}", style="dim"))
    _print_notice(console, *runs)


def print_comparison(
    console: Console, before: Run, after: Run, comparison: Comparison, limit: int
) -> None:
    """What flipped, at most ``limit`` prompts a kind, then how the rates moved."""
    console.print(
        Text.assemble(
            (visible(before.name), "bold"),
            (f" {before.id} ", "dim"),
            "→ ",
            (visible(after.name), "bold"),
            (f" {after.id}", "dim"),
        )
    )
    _print_notice(console, before, after)
    console.print()
    groups = flip_groups(comparison)
    if not groups:
        console.print("  No prompt flipped.")
    texts = before.prompts([f.pair.prompt_id for g in groups for f in g.flips[:limit]])
    texts |= after.prompts([f.pair.prompt_id for g in groups for f in g.flips[:limit]])
    for group in groups:
        sign, style = ("+", "green") if group.good else ("-", "red")
        console.print(Text(f"  {sign} {group.words}", style=f"bold {style}"))
        for flip in group.flips[:limit]:
            width = max(20, console.width - 36)
            prompt = texts[flip.pair.prompt_id]
            console.print(
                Text.assemble(
                    (f"      {visible(flip.pair.prompt_id, 24):<24}  ", "dim"),
                    visible(prompt.text, width),
                ),
                overflow="ellipsis",
                no_wrap=True,
            )
        if len(group.flips) > limit:
            console.print(Text(f"      and {len(group.flips) - limit} more", style="dim"))
    console.print()
    table = Table(box=None, pad_edge=False)
    for column in ("", "Before", "After", "Difference"):
        table.add_column(column)
    for name, difference in (
        ("Over-refusal", comparison.over_refusal),
        ("Harmful refusal", comparison.harmful_refusal),
    ):
        table.add_row(name, *_difference_cells(difference))
    console.print(table)
    if left_out := unpaired_words(comparison):
        console.print(Text(f"  {left_out}", style="dim"))


def print_gate(console: Console, run: Run, result: GateResult) -> None:
    """Each check of a gate on ``run``, and the outcome."""
    _print_notice(console, run)
    for check in result.checks:
        mark, style = ("pass", "green") if check.passed else ("FAIL", "bold red")
        console.print(Text.assemble((f"  {mark}  ", style), f"{check.name}: {check.why}"))
    over, harmful = result.over_refusal, result.harmful_refusal
    console.print(
        Text(
            f"  over-refusal {rate_words(over)}, harmful refusal {rate_words(harmful)}", style="dim"
        )
    )
    verdict, style = ("gate passed", "green") if result.passed else ("gate failed", "red")
    console.print(Text(verdict, style=f"bold {style}"))


def _print_notice(console: Console, *runs: Run) -> None:
    if notice := subject_notice(runs):
        console.print(Text(notice, style="yellow"))


def _difference_cells(difference: Difference) -> tuple[str, str, str]:
    return (
        rate_words(difference.before),
        rate_words(difference.after),
        difference_words(difference),
    )


def _print_outcomes(console: Console, outcomes: Mapping[str, Mapping[str, int]]) -> None:
    present = [
        outcome
        for outcome in outcomes["answer"]
        if any(side[outcome] for side in outcomes.values())
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("  Outcome")
    table.add_column("should be answered", justify="right")
    table.add_column("should be refused", justify="right")
    for outcome in present:
        table.add_row(
            f"  {outcome}", str(outcomes["answer"][outcome]), str(outcomes["refuse"][outcome])
        )
    console.print(table)


def _print_breakdown(
    console: Console, title: str, rows: Sequence[tuple[str, Rate, Rate | None]]
) -> None:
    """Over-refusal with a bar, and harmful refusal where it is given; the first rows only."""
    if len(rows) < 2:
        return
    shown = [
        (f"  {visible(name, _LONGEST_NAME - 2)}", over, harmful)
        for name, over, harmful in rows[:_ROWS]
    ]
    two_sided = shown[0][2] is not None
    wide = console.width >= _NARROW
    # Only names and bars give way to a narrow terminal: what the figures leave is theirs.
    n = max(len(str(rate.n)) for _, *rates in shown for rate in rates if isinstance(rate, Rate))
    figures = (2 if two_sided else 1) * (len("refusal") + n + 2) + 2
    room = console.width - figures - (len("[100.0, 100.0] ") if wide else 0)
    longest = max(len(title) + 2, *(cell_len(name) for name, _, _ in shown))
    names = max(1, min(longest, room, max(room - _BAR, room * 3 // 5, _SHORTEST_NAME)))
    bar = min(_BAR, room - names)

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), collapse_padding=True)
    table.add_column(f"\n  {title}", width=names, no_wrap=True, overflow="ellipsis")
    table.add_column("over-\nrefusal", justify="right", no_wrap=True)
    if bar >= _SHORTEST_BAR:
        table.add_column("", width=bar, no_wrap=True)
    if wide:
        table.add_column("\n95 %", no_wrap=True)
    table.add_column("\nn", justify="right", no_wrap=True)
    if two_sided:
        table.add_column("harmful\nrefusal", justify="right", no_wrap=True)
        table.add_column("\nn", justify="right", no_wrap=True)
    for name, over, harmful in shown:
        cells: list[Text | str] = [Text(name), percent(over.estimate)]
        if bar >= _SHORTEST_BAR:
            cells.append(Text(_bar(over, bar), style="red"))
        if wide:
            cells.append(interval(over.low, over.high))
        cells.append(str(over.n or ""))
        if harmful is not None:
            cells += [percent(harmful.estimate), str(harmful.n or "")]
        table.add_row(*cells)
    console.print()
    console.print(table)
    if len(rows) > _ROWS:
        more = f"  and {len(rows) - _ROWS} more in `overrefusal report --markdown FILE`"
        console.print(Text(more, style="dim"))


def _bar(rate: Rate, width: int) -> str:
    """As long as the rate is high, to an eighth of a column; ``width`` is 100 %."""
    whole, eighths = divmod(round(8 * width * (rate.estimate or 0.0)), 8)
    return "█" * whole + _EIGHTHS[eighths].strip()
