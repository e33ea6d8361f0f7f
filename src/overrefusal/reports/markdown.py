"""Reports in Markdown: for pull requests, step summaries and notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from overrefusal.reports.flips import flip_groups
from overrefusal.reports.words import (
    best_runs,
    caveats,
    correction_words,
    difference_words,
    headline,
    pattern_rates,
    rate_words,
    subject_notice,
    unpaired_words,
    usage_words,
    visible,
    worst_first,
)
from overrefusal.runs.run import Run
from overrefusal.statistics import Comparison, GateResult, Rate, Sides

_ACTIVE = re.compile(r"[\\`*_{}\[\]()<>#+\-!|~&]")
# Renderers look for these in the text that is left when escapes are undone, so no backslash and no
# entity keeps `@name` from notifying and `#12` from linking; alone in a code span they do nothing.
_MENTION = re.compile(r"(?:@|\\#(?=\d))+")
_WWW = re.compile(r"(?<=www)\.", re.IGNORECASE)


def escaped(text: str, width: int = 120) -> str:
    """Untrusted text on one line in which nothing is markup."""
    inert = _ACTIVE.sub(r"\\\g<0>", visible(text, width))
    inert = _MENTION.sub(lambda match: "`" + match[0].replace("\\", "") + "`", inert)
    return _WWW.sub("&#46;", inert.replace("://", "&#58;//"))


def run_markdown(run: Run) -> str:
    """One run: both rates, outcomes, breakdowns, caveats."""
    record, rates = run.record, run.rates
    over, harmful = headline(run)
    parts = [
        f"## {escaped(run.name)}",
        f"Run `{record.id}`, suite {escaped(record.suite_name)} v{escaped(record.suite_version)} "
        f"({record.suite_size} prompts, `{record.suite_hash[:12]}`), judge "
        f"{escaped(record.judge)}",
        *_notice(run),
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
    patterns = pattern_rates(rates)
    if len(patterns) > 1:
        parts.append(_patterns(patterns))
    for title, groups in (
        ("category", rates.by_category),
        ("language", rates.by_language),
    ):
        if len(groups) > 1:
            parts.append(_breakdown(title, groups))
    if usage := usage_words(run):
        parts.append(usage)
    parts += [f"- {escaped(caveat, 400)}" for caveat in caveats(run)]
    return "\n\n".join(parts) + "\n"


def runs_markdown(runs: Sequence[Run]) -> str:
    """Several runs side by side, those on the Pareto front with a star, then each."""
    best, meaning = best_runs(runs)
    table = _table(
        ("", "run", "model", "suite", "judge", "over-refusal", "harmful refusal"),
        (
            (
                "★" if run.id in best else "",
                f"`{run.id}`",
                escaped(run.name),
                escaped(run.record.suite_name, 60),
                escaped(run.record.judge, 60),
                rate_words(run.over_refusal),
                rate_words(run.harmful_refusal),
            )
            for run in runs
        ),
    )
    each = [run_markdown(run) for run in runs]
    return "\n\n".join([*_notice(*runs), table, f"★ {meaning}", *each])


def comparison_markdown(before: Run, after: Run, comparison: Comparison, limit: int) -> str:
    """What flipped, at most ``limit`` prompts a kind, then how the rates moved."""
    parts = [
        f"## {escaped(before.name)} → {escaped(after.name)}",
        f"Runs `{before.id}` and `{after.id}`",
        *_notice(before, after),
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
    if left_out := unpaired_words(comparison):
        parts.append(left_out)
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
    return "\n\n".join((title, about, *_notice(run), checks, rates)) + "\n"


def _notice(*runs: Run) -> list[str]:
    notice = subject_notice(runs)
    return [f"*{escaped(notice, 400)}*"] if notice else []


def _patterns(patterns: Mapping[str, Rate]) -> str:
    ordered = sorted(patterns.items(), key=lambda entry: -(entry[1].estimate or 0.0))
    return _table(
        ("pattern", "over-refusal", "n"),
        ((escaped(name, 60), rate_words(rate), str(rate.n)) for name, rate in ordered),
    )


def _breakdown(title: str, groups: Mapping[str, Sides]) -> str:
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
            for name, sides in worst_first(groups)
        ),
    )


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines)
