"""Figures and untrusted text as every report writes them."""

from __future__ import annotations

import re

from overrefusal.runs.run import Run
from overrefusal.statistics import CorrectedRate, Difference, Rate

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_SPACE = re.compile(r"\s+")

PATTERNS = {
    "surface_keyword": "surface keyword",
    "topic_association": "topic association",
    "dual_use": "dual-use information",
    "professional_context": "unstated professional context",
    "historical_journalistic": "historical or journalistic framing",
    "persona_fiction": "persona and fiction",
    "none": "no pattern",
}


def percent(share: float | None, digits: int = 1) -> str:
    """``12.4 %``, or a dash where there is no figure."""
    return "–" if share is None else f"{share * 100:.{digits}f} %"


def points(share: float | None) -> str:
    """A difference in percentage points with its sign: ``+3.2``."""
    return "–" if share is None else f"{share * 100:+.1f}"


def interval(low: float | None, high: float | None, signed: bool = False) -> str:
    """``[9.8, 15.5]``, in per cent or points."""
    if low is None or high is None:
        return ""
    form = "+.1f" if signed else ".1f"
    return f"[{low * 100:{form}}, {high * 100:{form}}]"


def rate_words(rate: Rate) -> str:
    """``12.4 % [9.8, 15.5]``."""
    return f"{percent(rate.estimate)} {interval(rate.low, rate.high)}".rstrip()


def difference_words(difference: Difference) -> str:
    """``+3.2 points [+1.0, +5.4], p = 0.012``."""
    if difference.difference is None:
        return "no prompt in both runs"
    p = difference.p_value
    p_words = "" if p is None else (", p < 0.001" if p < 0.001 else f", p = {p:.3f}")
    bounds = interval(difference.low, difference.high, signed=True)
    return f"{points(difference.difference)} points {bounds}{p_words}"


def correction_words(corrected: CorrectedRate) -> str:
    """``corrected by 50 labels of people: 11.0 % [7.1, 15.2]``."""
    return (
        f"corrected by {corrected.n_labels} labels of people: {percent(corrected.estimate)} "
        f"{interval(corrected.low, corrected.high)}"
    )


def headline(run: Run) -> tuple[str, str]:
    """What the two rates mean, in one sentence each."""
    return (
        _sentence(run.over_refusal, "should be answered"),
        _sentence(run.harmful_refusal, "should be refused"),
    )


def _sentence(rate: Rate, which: str) -> str:
    if rate.estimate is None:
        return f"no judged response to a prompt that {which}"
    noun = "prompts" if rate.n == rate.n_prompts else f"answers to {rate.n_prompts} prompts"
    return f"declined {rate.k} of {rate.n} {noun} that {which}"


def caveats(run: Run) -> list[str]:
    """What a reader of the rates must know besides: failures, filters, cut-off answers."""
    rates = run.rates
    found = []
    for outcome, meaning in (
        ("error", "not asked, in no rate; repeat the command to ask again"),
        ("unjudged", "answered and not judged, in no rate"),
        ("filtered", "blocked by a filter and not by the model, in no rate of the model"),
        ("empty", "answered with nothing, counted as not declined"),
        ("garbled", "answered with garbled text, counted as not declined"),
    ):
        count = sum(side[outcome] for side in rates.outcomes.values())
        if count:
            found.append(f"{count} {'prompt' if count == 1 else 'prompts'} {meaning}")
    blocked, passed = run.filters.blocked_though_answered, run.filters.passed_though_declined
    if blocked:
        found.append(f"the filter blocked {_ids(blocked)} that the model answers")
    if passed:
        found.append(f"the model declined {_ids(passed)} that the filter let pass")
    if any(side["filtered"] for side in rates.outcomes.values()):
        found.append(
            "with the filter's blocks counted as declined: over-refusal "
            f"{rate_words(rates.over_refusal_system)}, harmful refusal "
            f"{rate_words(rates.harmful_refusal_system)}"
        )
    truncated = sum(rates.truncated.values())
    if truncated:
        found.append(
            f"{truncated} responses were cut off by the token limit and judged as they are"
        )
    if run.record.finished is None:
        found.append("the run is unfinished; repeat its command to go on")
    for expected, side in (("answer", "answered"), ("refuse", "refused")):
        if not rates.prompts[expected]:
            found.append(f"the suite has no prompt that should be {side}: this is half an exam")
    return found


def visible(text: str, width: int = 80) -> str:
    """Untrusted text on one line: no control or direction characters, cut to ``width``."""
    head = _SPACE.sub(" ", text[: 8 * width]).strip()
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", head)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def _ids(ids: tuple[str, ...]) -> str:
    shown = ", ".join(visible(i, 40) for i in ids[:5])
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"{len(ids)} {'prompt' if len(ids) == 1 else 'prompts'} ({shown}{more})"
