"""Reports on the terminal, with rich."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from overrefusal.reports.flips import flip_groups
from overrefusal.reports.words import (
    PATTERNS,
    caveats,
    correction_words,
    difference_words,
    headline,
    interval,
    percent,
    rate_words,
    visible,
)
from overrefusal.runs.run import Run
from overrefusal.runs.store import Item
from overrefusal.statistics import (
    Comparison,
    Difference,
    GateResult,
    Point,
    Rate,
    Sides,
    pareto_front,
)

_BAR = 20
_NARROW = 70


def print_run(console: Console, run: Run) -> None:
    """One run: both rates in words, outcomes, and where the over-refusals are."""
    record, rates = run.record, run.rates
    console.print(Text(visible(run.name), style="bold"), Text(f"run {record.id}", style="dim"))
    console.print(
        Text(
            f"suite {visible(record.suite_name, 40)} v{record.suite_version} "
            f"({record.suite_size} prompts, {record.suite_hash[:12]}), judge {record.judge}",
            style="dim",
        )
    )
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
    named = {PATTERNS.get(name, name): sides for name, sides in rates.by_pattern.items()}
    for title, groups in (
        ("Pattern", named),
        ("Category", rates.by_category),
        ("Language", rates.by_language),
    ):
        _print_breakdown(console, title, groups)
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
    front = {
        point.name
        for point in pareto_front(
            Point(run.id, run.over_refusal.estimate, run.harmful_refusal.estimate)
            for run in runs
            if run.over_refusal.estimate is not None and run.harmful_refusal.estimate is not None
        )
    }
    table = Table(box=None, pad_edge=False)
    for column in ("", "Run", "Model", "Over-refusal", "Harmful refusal"):
        table.add_column(column)
    for run in runs:
        table.add_row(
            "*" if run.id in front else "",
            run.id,
            Text(visible(run.name, 40)),
            rate_words(run.over_refusal),
            rate_words(run.harmful_refusal),
        )
    console.print(table)
    console.print(Text("* no other run here is better on both sides", style="dim"))


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


def print_gate(console: Console, result: GateResult) -> None:
    """Each check of a gate, and the outcome."""
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


def _print_breakdown(console: Console, title: str, groups: Mapping[str, Sides]) -> None:
    """Over-refusal with a bar and harmful refusal for each group, the worst first."""
    if len(groups) < 2:
        return
    ordered = sorted(groups.items(), key=lambda entry: -(entry[1].over_refusal.estimate or 0.0))
    narrow = console.width < _NARROW
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column(f"  {title}")
    table.add_column("over-refusal", justify="right")
    if not narrow:
        table.add_column("")
        table.add_column("95 %")
    table.add_column("n", justify="right")
    table.add_column("harmful refusal", justify="right")
    table.add_column("n", justify="right")
    for name, sides in ordered:
        over, harmful = sides.over_refusal, sides.harmful_refusal
        cells: list[Text | str] = [Text(f"  {visible(name, 34)}"), percent(over.estimate)]
        if not narrow:
            cells += [Text(_bar(over), style="red"), interval(over.low, over.high)]
        cells += [str(over.n) if over.n else "", percent(harmful.estimate)]
        cells += [str(harmful.n) if harmful.n else ""]
        table.add_row(*cells)
    console.print()
    console.print(table)


def _bar(rate: Rate) -> str:
    return "█" * round(_BAR * (rate.estimate or 0.0))
