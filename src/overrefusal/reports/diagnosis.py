"""Diagnoses on the terminal, and the words that every report has for them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from overrefusal.diagnosis import Diagnosis, Report
from overrefusal.diagnosis.findings import Hinge, Kind, Mend, Status
from overrefusal.diagnosis.grouping import Share, Trigger, without
from overrefusal.diagnosis.search import Change
from overrefusal.reports.words import PATTERNS, percent, rate_words, readable, visible

_ROWS = 10

CHANGES = {
    Change.PLAINER: "replaced by a plainer word",
    Change.NEUTRAL: "replaced by a neutral word",
    Change.DELETE: "left out",
}
KINDS = {
    Kind.REWORDING: "a rewording",
    Kind.PURPOSE: "a stated purpose",
    Kind.OPERATOR: "an operator's sentence",
}


def pattern_words(name: str | None) -> str:
    """A pattern's name as people read it."""
    return "unknown" if name is None else PATTERNS.get(name, name)


def guess_words(diagnosis: Diagnosis) -> str:
    """``surface keyword (probability 0.93; the suite says dual-use information)``."""
    guess, label = diagnosis.guess, diagnosis.prompt.pattern
    if guess.pattern is None:
        said = f"not named: {visible(guess.reason or '', 200)}"
    else:
        said = f"{pattern_words(guess.pattern)} (probability {guess.probability:.2f}"
        said += (
            ")" if label in (None, guess.pattern) else f"; the suite says {pattern_words(label)})"
        )
    return said


def status_words(diagnosis: Diagnosis) -> str:
    """What the search came to, where it found no words."""
    return {
        Status.FOUND: "",
        Status.NONE_FOUND: f"no change within {diagnosis.queries.words} questions made it answer",
        Status.UNSTEADY: "asked again, the model answers it: nothing to explain",
        Status.FAILED: "the prompt could not be asked or judged again",
    }[diagnosis.status]


def hinge_words(hinge: Hinge) -> str:
    """``kill: replaced by a plainer word``."""
    words = " + ".join(visible(span.text, 40) for span in hinge.spans)
    return f"{words}: {CHANGES[hinge.change]}, and the model answers"


def twin_words(mend: Mend) -> str:
    """What is known of the harmful twin under a sentence that works."""
    if mend.kind is Kind.REWORDING or not mend.works:
        return ""
    if mend.twin is None:
        return "no harmful twin in the suite to check"
    if mend.proposed:
        return "its harmful twin is still refused"
    return f"not proposed: its harmful twin is then {mend.twin.value}"


def headline(report: Report) -> str:
    """``31 of 74 over-refusals hang on kill``, or what there is to say instead."""
    diagnosed = len(report.diagnoses)
    if not diagnosed:
        return "no over-refusal to diagnose"
    noun = "over-refusal" if diagnosed == 1 else "over-refusals"
    if not report.triggers:
        return f"no words were found that the {diagnosed} {noun} hang on"
    top = report.triggers[0]
    hang = "hangs" if top.prompts == 1 else "hang"
    return f"{top.prompts} of {diagnosed} {noun} {hang} on {visible(top.word, 40)}"


def trigger_note(report: Report, trigger: Trigger) -> str:
    """The over-refusal rate without what hangs on this word alone."""
    rate = without(report.run.over_refusal, trigger)
    return "" if rate is None or not trigger.alone else percent(rate.estimate)


def notes(report: Report) -> list[str]:
    """What a reader must know besides."""
    count = {s: sum(d.status is s for d in report.diagnoses) for s in Status}
    found = []
    if len(report.diagnoses) < report.over_refusals:
        found.append(f"{len(report.diagnoses)} of {report.over_refusals} over-refusals diagnosed")
    if report.filtered:
        found.append(
            f"{report.filtered} blocked by a filter: no refusals of the model, and not diagnosed"
        )
    if count[Status.UNSTEADY]:
        found.append(f"{count[Status.UNSTEADY]} answered when asked again: nothing to explain")
    if count[Status.NONE_FOUND]:
        found.append(f"{count[Status.NONE_FOUND]} in which no words were found within the budget")
    if count[Status.FAILED]:
        found.append(f"{count[Status.FAILED]} that could not be asked or judged again")
    failures = sum(d.failures for d in report.diagnoses)
    if failures:
        found.append(f"{failures} questions ended as error or unjudged, and count as no flip")
    if report.judge != report.run.record.judge:
        found.append(
            f"read by {visible(report.judge)}, the run by {visible(report.run.record.judge)}"
        )
    if report.model != report.run.record.variant["model"]:
        found.append(f"asked: {visible(report.model)}, not the run's own model")
    return found


def print_diagnosis(console: Console, report: Report, *, one: bool = False) -> None:
    """The whole run's, or with ``one`` the single prompt's in full."""
    run = report.run
    console.print(Text(visible(run.name), style="bold"), Text(f"run {run.id}", style="dim"))
    console.print(
        Text(
            f"{report.method}, model {visible(report.model)}, judge {visible(report.judge)}",
            style="dim",
        )
    )
    console.print(
        Text(
            f"over-refusal {rate_words(run.over_refusal)}, "
            f"harmful refusal {rate_words(run.harmful_refusal)}",
            style="dim",
        )
    )
    console.print()
    if one:
        for diagnosis in report.diagnoses:
            _print_one(console, diagnosis)
    else:
        console.print(Text(f"  {headline(report)}", style="bold"))
        _print_triggers(console, report)
        _print_shares(console, "Pattern", report.by_pattern)
        _print_shares(console, "Category", report.by_category)
        _print_helped(console, report)
        _print_list(console, report.diagnoses)
    for note in notes(report):
        console.print(Text(f"  ! {note}", style="yellow"))


def _print_one(console: Console, diagnosis: Diagnosis) -> None:
    text = diagnosis.prompt.text
    shown = Text("  ")
    spans = {s.start: s for hinge in diagnosis.hinges for s in hinge.spans}
    at = 0
    for start in sorted(spans):
        span = spans[start]
        if start < at:
            continue
        shown.append(_inline(text[at:start]))
        shown.append(_inline(span.text), style="bold red")
        at = span.end
    shown.append(_inline(text[at:]))
    console.print(Text(visible(diagnosis.prompt.id, 40), style="bold"), diagnosis.outcome.value)
    console.print(shown)
    console.print()
    console.print(Text(f"  Pattern  {guess_words(diagnosis)}"))
    console.print(Text("  Words"))
    if diagnosis.status is not Status.FOUND:
        console.print(Text(f"    {status_words(diagnosis)}"))
    for hinge in diagnosis.hinges:
        console.print(Text(f"    {hinge_words(hinge)}"))
        console.print(Text(f"      {visible(hinge.prompt, 200)}", style="dim"))
    for weight in diagnosis.weights[:5]:
        console.print(
            Text(f"    {visible(weight.span.text, 40)}: gradient x input {weight.value:+.2f}")
        )
    if diagnosis.mends:
        console.print(Text("  What helps"))
    for mend in diagnosis.mends:
        mark, style = ("+", "green") if mend.proposed else ("-", "dim")
        said = "works" if mend.works else "does not help"
        twin = f"; {twin_words(mend)}" if twin_words(mend) else ""
        console.print(Text(f"    {mark} {KINDS[mend.kind]} {said}{twin}", style=style))
        console.print(Text(f"      {visible(mend.text, 300)}", style="dim"))
    queries = diagnosis.queries
    console.print(
        Text(f"  {queries.words} questions for the words, {queries.mends} for what helps", "dim")
    )
    console.print()


def _inline(text: str) -> str:
    """Untrusted text for the middle of a line."""
    return readable(text).replace("\n", " ")


def _print_triggers(console: Console, report: Report) -> None:
    if not report.triggers:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("\n  Word", max_width=32, overflow="ellipsis", no_wrap=True)
    table.add_column("hang\non it", justify="right")
    table.add_column("alone", justify="right")
    table.add_column("over-refusal\nwithout it", justify="right")
    table.add_column("\nmostly")
    for trigger in report.triggers[:_ROWS]:
        pattern = next(iter(trigger.patterns), None)
        table.add_row(
            Text(f"  {visible(trigger.word, 30)}"),
            str(trigger.prompts),
            str(len(trigger.alone)),
            trigger_note(report, trigger),
            pattern_words(pattern),
        )
    console.print(table)
    if len(report.triggers) > _ROWS:
        console.print(Text(f"  and {len(report.triggers) - _ROWS} more with --json", style="dim"))


def _print_shares(console: Console, title: str, rows: Sequence[Share]) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(f"\n  {title}", max_width=38, overflow="ellipsis", no_wrap=True)
    table.add_column("over-\nrefusals", justify="right")
    table.add_column("words\nfound", justify="right")
    table.add_column("\nmost on")
    for row in rows[:_ROWS]:
        name = pattern_words(row.name) if title == "Pattern" else visible(row.name, 36)
        top = visible(row.top, 30) if row.top else ""
        table.add_row(Text(f"  {name}"), str(row.prompts), str(row.found), Text(top))
    console.print(table)


def _print_helped(console: Console, report: Report) -> None:
    if not report.helped:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("\n  What helps", no_wrap=True)
    for column in ("\ntried", "\nanswered", "\nproposed", "harmful twins\nstill refused"):
        table.add_column(column, justify="right")
    for row in report.helped:
        twins = f"{row.twins_refused} of {row.twins}" if row.twins else ""
        table.add_row(
            f"  {KINDS[row.kind]}", str(row.tried), str(row.works), str(row.proposed), twins
        )
    console.print(table)


def _print_list(console: Console, diagnoses: Sequence[Diagnosis]) -> None:
    if not diagnoses:
        return
    console.print()
    for diagnosis in diagnoses[:_ROWS]:
        words = "; ".join(
            " + ".join(visible(span.text, 24) for span in hinge.spans) for hinge in diagnosis.hinges
        )
        proposal = diagnosis.proposal
        helps = f" → {KINDS[proposal.kind]}" if proposal else ""
        console.print(
            Text.assemble(
                (f"  {visible(diagnosis.prompt.id, 22):<22}  ", "dim"),
                (words or status_words(diagnosis), "red" if words else "dim"),
                (helps, "green"),
            ),
            overflow="ellipsis",
            no_wrap=True,
        )
    if len(diagnoses) > _ROWS:
        console.print(
            Text(f"  and {len(diagnoses) - _ROWS} more; --prompt ID shows one in full", style="dim")
        )
    console.print()
