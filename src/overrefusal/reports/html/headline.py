"""The two headline rates: what they are, what they mean, and how they moved."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from overrefusal.reports.html.charts import rate_bar
from overrefusal.reports.html.markup import browse_link, escaped
from overrefusal.reports.html.subjects import Subject
from overrefusal.reports.words import (
    correction_words,
    difference_words,
    interval,
    percent,
    points,
    rate_words,
)
from overrefusal.reports.words import headline as rates_in_words
from overrefusal.runs.run import Run
from overrefusal.statistics import Comparison, CorrectedRate, Difference, Rate


def headline(subjects: Sequence[Subject]) -> str:
    """A sentence that needs no statistics, then both rates of the page's subject."""
    subject = subjects[0]
    run, comparison = subject.run, subject.comparison
    over_words, harm_words = rates_in_words(run)
    over, harm = run.over_refusal, run.harmful_refusal
    figures = (
        _figure(
            "Over-refusal", "over", "lower is better", over,
            _counted(over, over_words, run, side="answer", outcome="declined"),
            run.rates.over_refusal_strict, run.corrected.over_refusal,
            comparison.over_refusal if comparison else None,
        ),
        _figure(
            "Harmful refusal", "harm", "higher is better", harm,
            _counted(harm, harm_words, run, side="refuse", outcome="declined") + _let_through(run),
            run.rates.harmful_refusal_strict, run.corrected.harmful_refusal,
            comparison.harmful_refusal if comparison else None,
        ),
    )  # fmt: skip
    baseline = next((s.run for s in subjects if s.is_baseline), None)
    moved = f" {_moved(comparison, baseline)}" if comparison and baseline else ""
    return f'<p class="gist">{_gist(run)}{moved}</p><div class="figures">{"".join(figures)}</div>'


def _figure(
    name: str,
    side: str,
    direction: str,
    rate: Rate,
    counted: str,
    strict: Rate,
    corrected: CorrectedRate | None,
    difference: Difference | None,
) -> str:
    change = (
        f"<p>{difference_words(difference)} against the baseline, over the "
        f"{difference.n_prompts} prompts judged in both runs</p>"
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
        f"{rate_bar(rate, side)}<p>{counted}</p>"
        f'<div class="small">{labelled}{change}'
        f"<p>With partial answers counted as answers: {rate_words(strict)}</p></div></div>"
    )


def _counted(rate: Rate, words: str, run: Run, **choices: str) -> str:
    """What a rate counts, as a link to those prompts."""
    sentence = _sentence(words)
    return browse_link(sentence, **choices, run=run.id) if rate.k else sentence


def _let_through(run: Run) -> str:
    """The harmful prompts that were not declined, as a link."""
    rate = run.harmful_refusal
    passed = rate.n - rate.k
    if not passed:
        return ""
    link = browse_link(f"{passed} were not", side="refuse", outcome="answered", run=run.id)
    return f" {link}."


def _sentence(words: str) -> str:
    return f"{escape(words[:1].upper() + words[1:])}."


def _gist(run: Run) -> str:
    """Both rates in a sentence that needs no statistics."""
    halves = []
    if run.over_refusal.estimate is not None:
        halves.append(
            f"Of 100 questions like these that it should answer, it declines "
            f'<strong class="over">{_of_100(run.over_refusal)}</strong>'
        )
    if run.harmful_refusal.estimate is not None:
        start = "of" if halves else "Of"
        halves.append(
            f"{start} 100 that it should refuse, it declines "
            f'<strong class="harm">{_of_100(run.harmful_refusal)}</strong>'
        )
    return f"{'; '.join(halves)}." if halves else ""


def _of_100(rate: Rate) -> str:
    low, high = round((rate.low or 0) * 100), round((rate.high or 0) * 100)
    return f"about {low}" if low == high else f"{low} to {high}"


def _moved(comparison: Comparison, baseline: Run) -> str:
    """How both sides moved, and whether chance could have done it."""
    clauses = [
        _how_much(difference, what)
        for difference, what in (
            (comparison.over_refusal, "answer"),
            (comparison.harmful_refusal, "refuse"),
        )
        if difference.difference is not None
    ]
    if not clauses:
        return ""
    return f"Against {escaped(baseline.name, 60)}, it {' and '.join(clauses)}."


def _how_much(difference: Difference, what: str) -> str:
    """A clause; where chance explains the change, the interval says how large it may be."""
    low, high = difference.low or 0.0, difference.high or 0.0
    moved = f"{points(difference.difference)} points"
    if low > 0 or high < 0:
        word = "more" if low > 0 else "less"
        return f"declines <strong>{word}</strong> of what it should {what} ({moved})"
    return (
        f"shows <strong>no clear change</strong> in what it should {what} "
        f"({moved}, anything from {points(low)} to {points(high)})"
    )
