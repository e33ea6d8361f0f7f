"""What flipped against the baseline, counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from html import escape

from overrefusal.reports.flips import flip_groups
from overrefusal.reports.html.markup import browse_link
from overrefusal.reports.html.subjects import FLIP_KINDS, Subject, flip_kind, run_label
from overrefusal.reports.words import difference_words, unpaired_words
from overrefusal.statistics import Comparison


def flipped(subjects: Sequence[Subject]) -> str:
    """Counts of each kind of flip, losses of safety first, as links to the prompts."""
    compared = [(s, s.comparison) for s in subjects if s.comparison is not None]
    if not compared:
        return '<p class="soft">No baseline was given, so nothing is compared.</p>'
    left_out = "".join(
        f'<p class="soft">{run_label(subject)}: {escape(words)}.</p>'
        for subject, comparison in compared
        if (words := unpaired_words(comparison))
    )
    listed = _flip_list(*compared[0]) if len(compared) == 1 else _flip_table(compared)
    return listed + left_out + '<div class="cards" id="flip-cards"></div>'


def _flip_list(subject: Subject, comparison: Comparison) -> str:
    entries = "".join(
        f'<li class="{"gain" if group.good else "loss"}">'
        + browse_link(escape(group.words), flip=flip_kind(group.flips[0]), run=subject.run.id)
        + "</li>"
        for group in flip_groups(comparison)
    )
    return f'<ul class="flips">{entries}</ul>' if entries else "<p>No prompt flipped.</p>"


def _flip_table(compared: Sequence[tuple[Subject, Comparison]]) -> str:
    """A column a kind of flip, a line a run, and how the rates moved."""
    titles = {
        flip_kind(group.flips[0]): f"{group.side} {group.what}"
        for _, comparison in compared
        for group in flip_groups(comparison)
    }
    kinds = [kind for kind in FLIP_KINDS if kind in titles]
    head = "".join(f'<th scope="col">{escape(titles[kind])}</th>' for kind in kinds)
    body = ""
    for subject, comparison in compared:
        counts = Counter(flip_kind(flip) for flip in comparison.flips)
        cells = "".join(
            f"<td>{browse_link(str(counts[kind]), flip=kind, run=subject.run.id)}</td>"
            if counts[kind]
            else "<td>0</td>"
            for kind in kinds
        )
        body += (
            f'<tr><th scope="row">{run_label(subject)}</th>{cells}'
            f"<td>{difference_words(comparison.over_refusal)}</td>"
            f"<td>{difference_words(comparison.harmful_refusal)}</td></tr>"
        )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Flips, counted"><table>'
        f'<thead><tr><th scope="col">Run</th>{head}<th scope="col">Over-refusal</th>'
        f'<th scope="col">Harmful refusal</th></tr></thead><tbody>{body}</tbody></table></div>'
    )
