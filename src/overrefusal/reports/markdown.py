"""Reports in Markdown: for pull requests, step summaries and notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from overrefusal.reports.flips import flip_groups
from overrefusal.reports.words import (
    PATTERNS,
    caveats,
    correction_words,
    difference_words,
    headline,
    rate_words,
    visible,
)
from overrefusal.runs.run import Run
from overrefusal.statistics import Comparison, GateResult, Sides

_ACTIVE = "\\`*_{}[]()<>#+-!|~&"


def escaped(text: str, width: int = 120) -> str:
    """Untrusted text on one line in which nothing is markup."""
    return "".join(f"\\{c}" if c in _ACTIVE else c for c in visible(text, width))


def run_markdown(run: Run) -> str:
    """One run: both rates, outcomes, breakdowns, caveats."""
    record, rates = run.record, run.rates
    over, harmful = headline(run)
    parts = [
        f"## {escaped(run.name)}",
        f"Run `{record.id}`, suite {escaped(record.suite_name)} v{escaped(record.suite_version)} "
        f"({record.suite_size} prompts, `{record.suite_hash[:12]}`), judge `{record.judge}`",
        _table(
            ("", "rate [95 % interval]", ""),
            (
                ("**Over-refusal**", rate_words(rates.over_refusal), over),
                ("**Harmful refusal**", rate_words(rates.harmful_refusal), harmful),
                *(
                    (f"{name}, corrected", correction_words(corrected), "")
                    for name, corrected in (
                        ("over-refusal", run.corrected.over_refusal),
                        ("harmful refusal", run.corrected.harmful_refusal),
                    )
                    if corrected is not None
                ),
                ("over-refusal, outright", rate_words(rates.over_refusal_strict), ""),
                ("harmful refusal, outright", rate_words(rates.harmful_refusal_strict), ""),
            ),
        ),
        _table(
            ("outcome", "should be answered", "should be refused"),
            (
                (outcome, str(n), str(rates.outcomes["refuse"][outcome]))
                for outcome, n in rates.outcomes["answer"].items()
                if n or rates.outcomes["refuse"][outcome]
            ),
        ),
    ]
    named = {PATTERNS.get(name, name): sides for name, sides in rates.by_pattern.items()}
    for title, groups in (
        ("pattern", named),
        ("category", rates.by_category),
        ("language", rates.by_language),
    ):
        if len(groups) > 1:
            parts.append(_breakdown(title, groups))
    parts += [f"- {escaped(caveat, 400)}" for caveat in caveats(run)]
    return "\n\n".join(parts) + "\n"


def runs_markdown(runs: Sequence[Run]) -> str:
    """Several runs side by side, then each."""
    table = _table(
        ("run", "model", "over-refusal", "harmful refusal"),
        (
            (
                f"`{run.id}`",
                escaped(run.name),
                rate_words(run.over_refusal),
                rate_words(run.harmful_refusal),
            )
            for run in runs
        ),
    )
    return "\n\n".join([table, *(run_markdown(run) for run in runs)])


def comparison_markdown(before: Run, after: Run, comparison: Comparison, limit: int) -> str:
    """What flipped, at most ``limit`` prompts a kind, then how the rates moved."""
    parts = [
        f"## {escaped(before.name)} → {escaped(after.name)}",
        f"Runs `{before.id}` and `{after.id}`",
    ]
    groups = flip_groups(comparison)
    if not groups:
        parts.append("No prompt flipped.")
    texts = before.prompts([f.pair.prompt_id for g in groups for f in g.flips[:limit]])
    texts |= after.prompts([f.pair.prompt_id for g in groups for f in g.flips[:limit]])
    for group in groups:
        lines = [f"**{group.words}**", ""]
        lines += [
            f"- {escaped(f.pair.prompt_id, 40)}: {escaped(texts[f.pair.prompt_id].text)}"
            for f in group.flips[:limit]
        ]
        if len(group.flips) > limit:
            lines.append(f"- and {len(group.flips) - limit} more")
        parts.append("\n".join(lines))
    parts.append(
        _table(
            ("", "before", "after", "difference"),
            (
                (name, rate_words(d.before), rate_words(d.after), difference_words(d))
                for name, d in (
                    ("**Over-refusal**", comparison.over_refusal),
                    ("**Harmful refusal**", comparison.harmful_refusal),
                )
            ),
        )
    )
    return "\n\n".join(parts) + "\n"


def gate_markdown(run: Run, result: GateResult) -> str:
    """The checks of a gate on ``run``, and the outcome."""
    title = f"## Over-refusal gate: {'passed' if result.passed else 'failed'}"
    checks = _table(
        ("check", "", ""),
        (
            (f"`{check.name}`", "pass" if check.passed else "**FAIL**", escaped(check.why, 400))
            for check in result.checks
        ),
    )
    rates = _table(
        ("over-refusal", "harmful refusal"),
        ((rate_words(result.over_refusal), rate_words(result.harmful_refusal)),),
    )
    about = f"{escaped(run.name)}, run `{run.id}`, suite {escaped(run.record.suite_name)}"
    return "\n\n".join((title, about, checks, rates)) + "\n"


def _breakdown(title: str, groups: Mapping[str, Sides]) -> str:
    ordered = sorted(groups.items(), key=lambda entry: -(entry[1].over_refusal.estimate or 0.0))
    return _table(
        (title, "over-refusal", "n", "harmful refusal", "n"),
        (
            (
                escaped(name, 60),
                rate_words(sides.over_refusal),
                str(sides.over_refusal.n),
                rate_words(sides.harmful_refusal),
                str(sides.harmful_refusal.n),
            )
            for name, sides in ordered
        ),
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)
