"""Why it declined: words highlighted by their effect, what they have in common, what helps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from html import escape

from overrefusal.diagnosis import Diagnosis, Report
from overrefusal.diagnosis.findings import Span, Status
from overrefusal.diagnosis.grouping import Share
from overrefusal.reports.diagnosis import (
    CHANGES,
    KINDS,
    guess_words,
    headline,
    notes,
    pattern_words,
    status_words,
    trigger_note,
    twin_words,
)
from overrefusal.reports.html.markup import browse_link, escaped
from overrefusal.reports.words import rate_words, readable

_LEVELS = 4
"""Shades of effect."""
_ROWS = 12
_LEFT = ' class="words"'
_TEXT = ("mostly", "most on")
"""Columns of words and not of figures."""
_LONGEST = 4_000
"""Characters of a prompt that a card shows."""


def diagnosis_section(report: Report | None) -> str:
    """The section of the page; empty without a diagnosis."""
    if report is None:
        return ""
    rates = report.run.rates
    caveats = "".join(f"<li>{escape(note)}</li>" for note in notes(report))
    return (
        '<section id="diagnosis" aria-labelledby="diagnosis-title">'
        '<h2 id="diagnosis-title">Why it declined</h2>'
        f'<p class="gist">{escape(headline(report))}.</p>'
        f'<p class="soft">Over-refusal {rate_words(rates.over_refusal)}, harmful refusal '
        f"{rate_words(rates.harmful_refusal)}. {escape(report.method.capitalize())}, asked "
        f"{escaped(report.model, 80)}, read by {escaped(report.judge, 80)}. Every change named "
        "here was asked twice, and the model answered both times.</p>"
        + (f'<ul class="caveats-list">{caveats}</ul>' if caveats else "")
        + _triggers(report)
        + '<div class="tables">'
        + _shares("Pattern", report.by_pattern)
        + _shares("Category", report.by_category)
        + "</div>"
        + _helped(report)
        + _cards(report)
        + "</section>"
    )


def diagnosis_link(report: Report | None) -> str:
    """The entry in the page's navigation."""
    return "" if report is None else '<a href="#diagnosis">Why</a>'


def _triggers(report: Report) -> str:
    if not report.triggers:
        return ""
    body = "".join(
        f'<tr><th scope="row">{escaped(trigger.word, 60)}</th><td>{trigger.prompts}</td>'
        f"<td>{len(trigger.alone)}</td><td>{trigger_note(report, trigger)}</td>"
        '<td class="words">'
        f"{escape(pattern_words(next(iter(trigger.patterns), None)))}</td></tr>"
        for trigger in report.triggers[:_ROWS]
    )
    more = len(report.triggers) - _ROWS
    return _table(
        "Words that refusals hang on",
        ("Word", "hang on it", "on it alone", "over-refusal without it", "mostly"),
        body,
    ) + (f'<p class="soft">And {more} more in the list below.</p>' if more > 0 else "")


def _shares(title: str, rows: Sequence[Share]) -> str:
    body = "".join(
        f'<tr><th scope="row">'
        f"{escape(pattern_words(row.name)) if title == 'Pattern' else escaped(row.name, 60)}</th>"
        f"<td>{row.prompts}</td><td>{row.found}</td>"
        f'<td class="words">{escaped(row.top or "", 40)}</td></tr>'
        for row in rows[:_ROWS]
    )
    return (
        "<div>" + _table(title, (title, "over-refusals", "words found", "most on"), body) + "</div>"
    )


def _helped(report: Report) -> str:
    if not report.helped:
        return ""
    body = "".join(
        f'<tr><th scope="row">{KINDS[row.kind]}</th><td>{row.tried}</td><td>{row.works}</td>'
        f"<td>{row.proposed}</td>"
        f"<td>{f'{row.twins_refused} of {row.twins}' if row.twins else '–'}</td></tr>"
        for row in report.helped
    )
    return _table(
        "What helps",
        ("Change", "tried", "then answered", "proposed", "harmful twins still refused"),
        body,
    )


def _table(caption: str, head: Iterable[str], body: str) -> str:
    columns = "".join(
        f'<th scope="col"{_LEFT if name in _TEXT else ""}>{escape(name)}</th>' for name in head
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f'<table class="why-table"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cards(report: Report) -> str:
    """One card a diagnosis, filtered by the word it hangs on."""
    if not report.diagnoses:
        return ""
    members: dict[str, list[int]] = defaultdict(list)
    for number, trigger in enumerate(report.triggers):
        for prompt_id in (*trigger.alone, *trigger.together):
            members[prompt_id].append(number)
    options = "".join(
        f'<option value="{number}">{escaped(trigger.word, 40)} ({trigger.prompts})</option>'
        for number, trigger in enumerate(report.triggers)
    )
    cards = "".join(
        _card(report, diagnosis, members[diagnosis.prompt.id]) for diagnosis in report.diagnoses
    )
    strongest = "".join(
        f'<mark class="effect e{level}">{words}</mark> '
        for level, words in ((_LEVELS, "strong effect"), (1, "weak effect"))
    )
    return (
        '<div class="cards-head"><h3>Each of them</h3>'
        '<label id="why-filter" hidden>hangs on <select id="why-word">'
        f'<option value="">any word</option>{options}<option value="none">no word found</option>'
        '</select></label><p id="why-count" role="status" aria-live="polite"></p></div>'
        f'<p class="soft">{strongest}<mark class="effect e{_LEVELS} joint">only together with '
        f'others</mark></p><div id="why-cards">{cards}</div>'
    )


def _card(report: Report, diagnosis: Diagnosis, members: Sequence[int]) -> str:
    prompt = diagnosis.prompt
    link = browse_link(escaped(prompt.id, 60), prompt=prompt.id, run=report.run.id)
    hinges = "".join(
        "<li>"
        + " + ".join(f"<b>{escaped(span.text, 60)}</b>" for span in hinge.spans)
        + f" {CHANGES[hinge.change]}: the model answers "
        f'<q class="soft">{escaped(hinge.prompt, 300)}</q></li>'
        for hinge in diagnosis.hinges
    )
    if diagnosis.status is not Status.FOUND:
        hinges = f"<li>{escape(status_words(diagnosis))}</li>"
    mends = "".join(
        f'<li class="{"gain" if mend.proposed else "void"}">{KINDS[mend.kind]} works'
        + (f"; {escape(twin_words(mend))}" if twin_words(mend) else "")
        + f' <q class="soft">{escaped(mend.text, 300)}</q></li>'
        for mend in diagnosis.mends
        if mend.works
    )
    void = dict.fromkeys(KINDS[mend.kind] for mend in diagnosis.mends if not mend.works)
    if void:
        mends += f'<li class="void soft">tried without effect: {", ".join(void)}</li>'
    return (
        f'<article class="why" data-words="{" ".join(map(str, members)) or "none"}">'
        f'<h4>{link} <span class="soft">{escape(guess_words(diagnosis))}</span></h4>'
        f'<p class="asked" dir="auto">{highlighted(diagnosis)}</p>'
        f'<ul class="hinges">{hinges}</ul>'
        + (f'<ul class="mends">{mends}</ul>' if mends else "")
        + "</article>"
    )


def highlighted(diagnosis: Diagnosis) -> str:
    """The prompt as markup, each word that matters shaded by its effect."""
    text = diagnosis.prompt.text
    marks: dict[int, tuple[Span, str]] = {}
    for hinge in diagnosis.hinges:
        for span in hinge.spans:
            level = max(1, min(_LEVELS, round(hinge.effect * _LEVELS)))
            joint = " joint" if len(hinge.spans) > 1 else ""
            marks.setdefault(span.start, (span, f"effect e{level}{joint}"))
    top = max((weight.value for weight in diagnosis.weights), default=0.0)
    for weight in diagnosis.weights:
        if weight.value > 0 and weight.value >= top / _LEVELS:
            level = max(1, round(_LEVELS * weight.value / top))
            marks.setdefault(weight.span.start, (weight.span, f"push e{level}"))
    out, at = [], 0
    for start in sorted(marks):
        span, name = marks[start]
        if start < at or span.end > _LONGEST:
            continue
        out.append(escape(readable(text[at:start])))
        out.append(f'<mark class="{name}">{escape(readable(text[start : span.end]))}</mark>')
        at = span.end
    end = max(at, _LONGEST)
    out.append(escape(readable(text[at:end])) + ("…" if len(text) > end else ""))
    return "".join(out)
