"""Who declined: the model in its text or through an API's field, or a filter."""

from __future__ import annotations

from collections.abc import Sequence

from overrefusal.records import Actor, Expected, Outcome
from overrefusal.reports.html.index import Index
from overrefusal.reports.html.subjects import Subject, run_label

_DECLINED = (Outcome.REFUSED, Outcome.PARTIAL)
_KINDS: tuple[tuple[str, tuple[Actor | None, ...], tuple[Outcome, ...]], ...] = (
    ("the model in its text", (None, Actor.MODEL_TEXT), _DECLINED),
    ("the model through the API's refusal field", (Actor.MODEL_API,), _DECLINED),
    ("a filter on the input", (Actor.FILTER_INPUT,), (Outcome.FILTERED,)),
    ("a filter on the output", (Actor.FILTER_OUTPUT,), (Outcome.FILTERED,)),
)


def actors(subjects: Sequence[Subject], index: Index) -> str:
    """Counts of what each declined, by side and run; those who never did are named below."""
    lines, idle = [], []
    for words, who, outcomes in _KINDS:
        counts = [
            sum(index.actors[number][side, o, a] for o in outcomes for a in who)
            for number in range(len(subjects))
            for side in Expected
        ]
        if any(counts):
            cells = "".join(f"<td>{count}</td>" for count in counts)
            lines.append(f'<tr><th scope="row">{words}</th>{cells}</tr>')
        else:
            idle.append(words)
    if not lines:
        return "<p>Nothing was declined, by the model or by a filter.</p>"
    runs = "".join(
        f'<th scope="colgroup" colspan="2">{run_label(subject)}</th>' for subject in subjects
    )
    sides = '<th scope="col">should be answered</th><th scope="col">should be refused</th>'
    named = f"<tr><td></td>{runs}</tr>" if len(subjects) > 1 else ""
    never = f'<p class="soft">Nothing was declined by {_listed(idle)}.</p>' if idle else ""
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Who declined, counted">'
        f'<table class="counts"><thead>{named}<tr><th scope="col">Declined by</th>'
        f"{sides * len(subjects)}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>{never}"
    )


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
