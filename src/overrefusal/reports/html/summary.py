"""What the page says before anybody filters: the figures, in words and in tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from overrefusal import __version__
from overrefusal.reports.html.about import about
from overrefusal.reports.html.actors import actors
from overrefusal.reports.html.breakdown import breakdowns
from overrefusal.reports.html.certainty import certainty
from overrefusal.reports.html.charts import Spot, plane
from overrefusal.reports.html.flipped import flipped
from overrefusal.reports.html.headline import headline
from overrefusal.reports.html.index import Index
from overrefusal.reports.html.markup import escaped, rate_cell
from overrefusal.reports.html.pairs import pairs
from overrefusal.reports.html.subjects import Subject, run_label
from overrefusal.reports.words import best_runs, caveats, percent, subject_notice
from overrefusal.runs.run import Run


def summary(subjects: Sequence[Subject], index: Index) -> dict[str, str]:
    """Markup for each slot of the template, by name."""
    slots = {
        "heading": _heading(subjects),
        "headline": headline(subjects),
        "caveats": _caveats(subjects),
        "plane": _plane(subjects),
        "breakdowns": breakdowns(subjects, index),
        "pairs": pairs(subjects, index),
        "flips": flipped(subjects),
        "actors": actors(subjects, index),
        "judge": certainty(subjects, index),
    }
    unbroken = {name: text.replace(" %", "\N{NO-BREAK SPACE}%") for name, text in slots.items()}
    return {**unbroken, "about": about(subjects), "version": escape(__version__)}


def _heading(subjects: Sequence[Subject]) -> str:
    run = subjects[0].run
    record = run.record
    when = datetime.fromtimestamp(record.created, UTC)
    more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    against = "".join(f" · baseline {run_label(s, mark='')}" for s in subjects if s.is_baseline)
    notice = subject_notice(subject.run for subject in subjects)
    subject = f'<p class="notice">{escape(notice)}</p>' if notice else ""
    return (
        f"<h1>{escaped(run.name, 80)}</h1>"
        f'<p class="soft">Suite {escaped(record.suite_name, 60)} '
        f"version {escaped(record.suite_version, 20)}, {record.suite_size} prompts · "
        f"run <code>{escape(record.id)}</code>{more} · "
        f'<time datetime="{when:%Y-%m-%dT%H:%MZ}">{when.day} {when:%B %Y}</time>{against}</p>'
        f"{subject}"
    )


def _caveats(subjects: Sequence[Subject]) -> str:
    parts = []
    for subject in subjects:
        found = caveats(subject.run)
        if found:
            title = f"<p>{run_label(subject)}</p>" if len(subjects) > 1 else ""
            entries = "".join(f"<li>{escaped(text, 400)}</li>" for text in found)
            parts.append(f"{title}<ul>{entries}</ul>")
    if not parts:
        return ""
    return (
        '<aside class="caveats" aria-labelledby="caveats-title">'
        f'<h3 id="caveats-title">Read the rates with this in mind</h3>{"".join(parts)}</aside>'
    )


def _plane(subjects: Sequence[Subject]) -> str:
    best, meaning = best_runs([subject.run for subject in subjects])
    spots = [
        Spot(number, s.run.over_refusal, s.run.harmful_refusal, s.is_baseline, s.run.id in best)
        for number, s in enumerate(subjects, 1)
    ]
    if all(spot.over.estimate is None or spot.harm.estimate is None for spot in spots):
        return '<p class="soft">No run has both rates, so none has a place on the plane.</p>'
    exams = {(s.run.record.suite_hash, s.run.record.judge) for s in subjects}
    rows = "".join(
        f'<tr><td class="place"><span class="dot">{spot.number}</span>'
        f'{" ★" if spot.is_best else ""}</td><th scope="row">{run_label(subject)}'
        f"{_exam(subject.run) if len(exams) > 1 else ''}</th>"
        f"<td>{rate_cell(spot.over)}</td><td>{rate_cell(spot.harm)}</td></tr>"
        for subject, spot in zip(subjects, spots, strict=True)
    )
    label = "; ".join(
        f"run {spot.number}: over-refusal {percent(spot.over.estimate)}, "
        f"harmful refusal {percent(spot.harm.estimate)}"
        for spot in spots
    )
    star = f" ★, joined by the dashed line: {escape(meaning)}." if best else ""
    drawing = plane(spots, escape(label, quote=True), front=len(exams) == 1)
    return (
        f'<div class="split"><figure>{drawing}<figcaption>Crosses are 95 % intervals; the axes '
        f"show the part of the plane in which the runs lie.{star}</figcaption></figure>"
        '<div class="scroll" tabindex="0" role="region" aria-label="Runs"><table><thead><tr>'
        '<th scope="col"><span class="away">Number</span></th>'
        '<th scope="col">Run</th><th scope="col">Over-refusal</th>'
        f'<th scope="col">Harmful refusal</th></tr></thead><tbody>{rows}</tbody></table></div>'
        "</div>"
    )


def _exam(run: Run) -> str:
    """The suite and the judge of a run, where not all runs share them."""
    record = run.record
    return f'<div class="soft">{escaped(record.suite_name, 40)}, {escaped(record.judge, 40)}</div>'
