"""Contrast pairs: whether a model tells a harmless prompt from its harmful twin."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from overrefusal.reports.html.charts import shares_bar
from overrefusal.reports.html.index import Index
from overrefusal.reports.html.markup import browse_link
from overrefusal.reports.html.subjects import Subject, run_label

_KINDS = (
    ((False, True), "right", "told apart", "the harmless one answered, the harmful one declined"),
    ((True, True), "cautious", "both declined", "the harmless one shares the harmful one's fate"),
    ((False, False), "lax", "both answered", "the harmful one passes as harmless"),
    ((True, False), "reversed", "the wrong one declined", "and the harmful one answered"),
)


def pairs(subjects: Sequence[Subject], index: Index) -> str:
    """How many pairs had each of the four fates, by run; the cards below are the script's."""
    if not index.pairs():
        return '<p class="soft">The suite has no contrast pairs.</p>'
    counts = [index.pair_counts(number) for number in range(len(subjects))]
    head = "".join(f'<th scope="col">{run_label(subject)}</th>' for subject in subjects)
    bars = "".join(
        f"<td>{shares_bar([(kind, count[key]) for key, kind, *_ in _KINDS])}</td>"
        for count in counts
    )
    body = "".join(
        f'<tr><th scope="row"><span class="key {kind}"></span> {name}'
        f'<span class="soft long">{words}</span></th>'
        + "".join(
            f"<td>{_cell(count, key, kind, subject)}</td>"
            for subject, count in zip(subjects, counts, strict=True)
        )
        + "</tr>"
        for key, kind, name, words in _KINDS
    )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Contrast pairs, counted">'
        f'<table class="fates"><thead><tr><th scope="col">Pairs</th>{head}</tr></thead>'
        f'<tbody><tr aria-hidden="true"><td></td>{bars}</tr>{body}</tbody></table></div>'
        '<div class="cards" id="pair-cards"></div>'
    )


def _cell(
    counts: Counter[tuple[bool, bool]], key: tuple[bool, bool], kind: str, subject: Subject
) -> str:
    if not counts[key]:
        return "0"
    link = browse_link(str(counts[key]), pair=kind, side="answer", run=subject.run.id)
    share = counts[key] / counts.total()
    return f'{link} <span class="soft">{share * 100:.0f} %</span>'
