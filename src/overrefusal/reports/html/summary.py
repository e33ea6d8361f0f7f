"""What the page says before anybody filters: the figures, in words and in tables."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from overrefusal import __version__
from overrefusal.records import Actor, Expected, Outcome
from overrefusal.reports.html.breakdown import breakdowns
from overrefusal.reports.html.certainty import certainty
from overrefusal.reports.html.charts import Spot, plane, rate_bar
from overrefusal.reports.html.flipped import flipped
from overrefusal.reports.html.index import Index
from overrefusal.reports.html.markup import browse_link, escaped, rate_cell
from overrefusal.reports.html.reproduce import command_of, settings_of
from overrefusal.reports.html.subjects import Subject, run_label
from overrefusal.reports.words import (
    best_runs,
    caveats,
    correction_words,
    difference_words,
    headline,
    interval,
    percent,
    rate_words,
)
from overrefusal.runs.run import Run
from overrefusal.statistics import CorrectedRate, Difference, Rate


def summary(subjects: Sequence[Subject], index: Index) -> dict[str, str]:
    """Markup for each slot of the template, by name."""
    slots = {
        "heading": _heading(subjects),
        "headline": _headline(subjects),
        "caveats": _caveats(subjects),
        "plane": _plane(subjects),
        "breakdowns": breakdowns(subjects),
        "pairs": _pairs(subjects, index),
        "flips": flipped(subjects),
        "actors": _actors(subjects, index),
        "judge": certainty(subjects, index),
    }
    unbroken = {name: text.replace(" %", "\N{NO-BREAK SPACE}%") for name, text in slots.items()}
    return {**unbroken, "about": _about(subjects), "version": escape(__version__)}


_TEST_SUBJECT = (
    "<p>Bouncer is the small over-refusing model that comes with overrefusal, a test subject. "
    "Conclusions about real models need real models.</p>"
)


def _heading(subjects: Sequence[Subject]) -> str:
    run = subjects[0].run
    record = run.record
    when = datetime.fromtimestamp(record.created, UTC)
    more = f" and {len(subjects) - 1} more" if len(subjects) > 1 else ""
    against = "".join(f" · baseline {run_label(s, mark='')}" for s in subjects if s.is_baseline)
    names = [str(s.run.record.variant.get("model", "")) for s in subjects]
    subject = _TEST_SUBJECT if any(re.fullmatch(r"bouncer(:.*)?", name) for name in names) else ""
    return (
        f"<h1>{escaped(run.name, 80)}</h1>"
        f'<p class="soft">Suite {escaped(record.suite_name, 60)} '
        f"version {escaped(record.suite_version, 20)}, {record.suite_size} prompts · "
        f"run <code>{escape(record.id)}</code>{more} · "
        f'<time datetime="{when:%Y-%m-%dT%H:%MZ}">{when.day} {when:%B %Y}</time>{against}</p>'
        f"{subject}"
    )


def _headline(subjects: Sequence[Subject]) -> str:
    subject = subjects[0]
    run, comparison = subject.run, subject.comparison
    over_words, harm_words = headline(run)
    figures = (
        _figure(
            "Over-refusal", "over", "lower is better", run.over_refusal, over_words,
            run.rates.over_refusal_strict, run.corrected.over_refusal,
            comparison.over_refusal if comparison else None,
        ),
        _figure(
            "Harmful refusal", "harm", "higher is better", run.harmful_refusal, harm_words,
            run.rates.harmful_refusal_strict, run.corrected.harmful_refusal,
            comparison.harmful_refusal if comparison else None,
        ),
    )  # fmt: skip
    return f'<div class="figures">{"".join(figures)}</div><p class="gist">{_gist(run)}</p>'


def _figure(
    name: str,
    side: str,
    direction: str,
    rate: Rate,
    words: str,
    strict: Rate,
    corrected: CorrectedRate | None,
    difference: Difference | None,
) -> str:
    change = (
        f'<p class="change"><strong>{difference_words(difference)}</strong> against the baseline, '
        f"over the {difference.n_prompts} prompts that both runs answered</p>"
        if difference is not None
        else ""
    )
    labelled = f"<p>{_sentence(correction_words(corrected))}</p>" if corrected else ""
    bounds = interval(rate.low, rate.high) or "unknown"
    number = percent(rate.estimate).replace(" %", '<span class="unit"> %</span>')
    return (
        f'<div class="figure {side}"><h3>{name} <span class="soft">{direction}</span></h3>'
        f'<p class="number">{number}</p>'
        f'<p class="interval">95 % interval <span>{bounds}</span></p>'
        f"{rate_bar(rate, side)}"
        f"<p>{_sentence(words)}</p>{labelled}"
        f'<p class="soft">Refused outright, partial answers counted as answered: '
        f"{rate_words(strict)}</p>{change}</div>"
    )


def _sentence(words: str) -> str:
    return f"{escape(words[:1].upper() + words[1:])}."


def _gist(run: Run) -> str:
    """Both rates in a sentence that needs no statistics."""
    over, harm = run.over_refusal, run.harmful_refusal
    halves = []
    if over.estimate is not None:
        halves.append(
            f"Of 100 such prompts that it should answer, expect it to decline {_of_100(over)}"
        )
    if harm.estimate is not None:
        start = "of" if halves else "Of"
        halves.append(f"{start} 100 that it should refuse, expect it to decline {_of_100(harm)}")
    words = "; ".join(halves)
    return f"{words}. Neither figure means anything without the other." if words else ""


def _of_100(rate: Rate) -> str:
    low, high = round((rate.low or 0) * 100), round((rate.high or 0) * 100)
    return f"about {low}" if low == high else f"between {low} and {high}"


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
        f'<tr><td><span class="dot">{spot.number}</span></td>'
        f'<th scope="row">{run_label(subject)}{" ★" if spot.is_best else ""}'
        f"{_exam(subject.run) if len(exams) > 1 else ''}</th>"
        f"<td>{rate_cell(spot.over)}</td><td>{rate_cell(spot.harm)}</td></tr>"
        for subject, spot in zip(subjects, spots, strict=True)
    )
    label = "; ".join(
        f"run {spot.number}: over-refusal {percent(spot.over.estimate)}, "
        f"harmful refusal {percent(spot.harm.estimate)}"
        for spot in spots
    )
    star = f" ★: {escape(meaning)}." if best else ""
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


_PAIR_KINDS = (
    ((False, True), "right", "answered the harmless one, declined the harmful one"),
    ((True, True), "cautious", "declined both: the harmless one shares the harmful one's fate"),
    ((False, False), "lax", "answered both: the harmful one passes as harmless"),
    ((True, False), "reversed", "declined the harmless one, answered the harmful one"),
)


def _pairs(subjects: Sequence[Subject], index: Index) -> str:
    if not index.pairs():
        return '<p class="soft">The suite has no contrast pairs.</p>'
    counts = [index.pair_counts(number) for number in range(len(subjects))]
    head = "".join(f'<th scope="col">{run_label(subject)}</th>' for subject in subjects)
    body = "".join(
        f'<tr><th scope="row">{words}</th>'
        + "".join(
            f"<td>{browse_link(str(count[key]), pair=kind, side='answer', run=subject.run.id)}</td>"
            if count[key]
            else "<td>0</td>"
            for subject, count in zip(subjects, counts, strict=True)
        )
        + "</tr>"
        for key, kind, words in _PAIR_KINDS
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Contrast pairs, counted">'
        f'<table><thead><tr><th scope="col">The model …</th>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><div class="cards" id="pair-cards"></div>'
    )


_DECLINED = (Outcome.REFUSED, Outcome.PARTIAL)
_ACTORS = (
    ("the model, in its text", None, _DECLINED),
    ("the model, through the API's refusal field", Actor.MODEL_API, _DECLINED),
    ("a filter on the input", Actor.FILTER_INPUT, (Outcome.FILTERED,)),
    ("a filter on the output", Actor.FILTER_OUTPUT, (Outcome.FILTERED,)),
)  # fmt: skip


def _actors(subjects: Sequence[Subject], index: Index) -> str:
    parts = []
    for number, subject in enumerate(subjects):
        counts = index.actors[number]
        body = ""
        for words, actor, outcomes in _ACTORS:
            actors = (None, Actor.MODEL_TEXT) if actor is None else (actor,)
            cells = "".join(
                f"<td>{sum(counts[side, o, a] for o in outcomes for a in actors)}</td>"
                for side in Expected
            )
            body += f'<tr><th scope="row">{words}</th>{cells}</tr>'
        parts.append(
            f'<table class="small"><caption>{run_label(subject)}</caption>'
            '<thead><tr><th scope="col">Declined by</th><th scope="col">should be answered</th>'
            f'<th scope="col">should be refused</th></tr></thead><tbody>{body}</tbody></table>'
        )
    return f'<div class="tables">{"".join(parts)}</div>'


def _about(subjects: Sequence[Subject]) -> str:
    parts = []
    for subject in subjects:
        command = escaped(command_of(subject.run), 4000)
        entries = "".join(
            f"<dt>{escape(name)}</dt><dd>{escaped(value, 600)}</dd>"
            for name, value in settings_of(subject.run)
        )
        parts.append(
            f"<h3>{run_label(subject)}</h3><dl>{entries}</dl>"
            f'<pre tabindex="0" aria-label="Command to reproduce"><code>{command}</code></pre>'
        )
    return "".join(parts)
