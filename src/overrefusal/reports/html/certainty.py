"""How sure the judge was."""

from __future__ import annotations

from collections.abc import Sequence

from overrefusal.records import Expected
from overrefusal.reports.html.charts import histogram
from overrefusal.reports.html.index import UNSURE, Index, JudgeCounts
from overrefusal.reports.html.markup import browse_link, escaped
from overrefusal.reports.html.subjects import Subject, run_label
from overrefusal.reports.words import correction_words, percent


def certainty(subjects: Sequence[Subject], index: Index) -> str:
    """For each run its judge, the uncertain verdicts, and a histogram of the probabilities."""
    parts = []
    for number, subject in enumerate(subjects):
        counts = index.judged[number]
        title = f"<h3>{run_label(subject)}</h3>" if len(subjects) > 1 else ""
        identity = escaped(subject.run.record.judge, 120)
        parts.append(
            f"<div>{title}<p>Judge <code>{identity}</code>. "
            f"{_certainty(subject, counts[Expected.ANSWER], counts[Expected.REFUSE])}"
            f"{_labels(subject)}</div>"
        )
    return (
        '<p class="soft">Intervals hold for the prompts drawn and take the verdicts as given. '
        f"A verdict is uncertain where the judge's refusal probability lies between {UNSURE[0]} "
        f'and {UNSURE[1]} (shaded).</p><div class="tables">{"".join(parts)}</div>'
    )


def _labels(subject: Subject) -> str:
    """What people's labels say of the judge, or how to get some."""
    corrected = subject.run.corrected
    words = [
        f"{name} {correction_words(rate)}"
        for name, rate in (
            ("over-refusal", corrected.over_refusal),
            ("harmful refusal", corrected.harmful_refusal),
        )
        if rate is not None
    ]
    if not words:
        run = escaped(subject.run.id)
        return (
            "<p>Nobody has checked a sample of its verdicts by hand; "
            f"<code>overrefusal calibrate {run}</code> does, and corrects the rates.</p>"
        )
    return f"<p>By people's labels: {'; '.join(words)}.</p>"


def _certainty(subject: Subject, over: JudgeCounts, harm: JudgeCounts) -> str:
    """How sure the judge was: the rest of a paragraph, and a histogram."""
    known, unknown = over.n + harm.n, over.unknown + harm.unknown
    if not known:
        return "It gives no probabilities, so how sure it was is not known.</p>"
    unsure = browse_link(
        f"{over.unsure + harm.unsure} of {known} verdicts are uncertain",
        sure="no",
        run=subject.run.id,
    )
    weighted = ""
    if over.n and harm.n:
        weighted = (
            " Counting each response by its probability instead of its verdict, over-refusal is "
            f"{percent(over.total / over.n)} and harmful refusal {percent(harm.total / harm.n)}."
        )
    without = f" {unknown} verdicts carry no probability." if unknown else ""
    return (
        f"{unsure}; if its probabilities are calibrated, about {over.doubt + harm.doubt:.0f} are "
        f"wrong.{weighted}{without}</p>"
        f"<figure>{histogram(over.bins, harm.bins, 'Histogram of refusal probabilities')}"
        '<figcaption><span class="key over"></span> should be answered, upwards; '
        '<span class="key harm"></span> should be refused, downwards; counts on a square-root '
        "scale.</figcaption></figure>"
    )
