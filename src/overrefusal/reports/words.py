"""Figures and untrusted text as every report writes them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from overrefusal.runs.run import Run
from overrefusal.statistics import (
    Comparison,
    CorrectedRate,
    Difference,
    Point,
    Rate,
    Rates,
    Sides,
    pareto_front,
)
from overrefusal.statistics.rates import ABSENT

# Controls, what turns the direction of writing, and what is there without being seen: soft hyphen,
# joiners and spaces of no width, invisible operators, tags, selectors that can smuggle bytes.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e01ef]"
)
_SPACE = re.compile(r"\s+")

PATTERNS = {
    "surface_keyword": "surface keyword",
    "topic_association": "topic association",
    "dual_use": "dual-use information",
    "professional_context": "unstated professional context",
    "historical_journalistic": "historical or journalistic framing",
    "persona_fiction": "persona and fiction",
    ABSENT: "plain (no pattern)",
}
_TEST_SUBJECT = (
    "Bouncer is a test subject, trained to over-refuse; its figures say nothing about real models."
)


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


def unpaired_words(comparison: Comparison) -> str | None:
    """How many prompts a comparison leaves out; ``None`` where it leaves out none."""
    sides = (comparison.over_refusal, comparison.harmful_refusal)
    paired, left_out = sum(d.n_prompts for d in sides), sum(d.n_unpaired for d in sides)
    if not left_out:
        return None
    return (
        f"{paired} {'prompt' if paired == 1 else 'prompts'} in both runs, {left_out} left out "
        "(no judged response in one of them)"
    )


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


def pattern_rates(rates: Rates) -> dict[str, Rate]:
    """Over-refusal by pattern, under the patterns' names.

    Harmful prompts carry no pattern, so there is no second side to it.
    """
    return {
        PATTERNS.get(name, name): sides.over_refusal
        for name, sides in rates.by_pattern.items()
        # Where every prompt without a pattern is a harmful one.
        if name != ABSENT or sides.over_refusal.n
    }


def worst_first(groups: Mapping[str, Sides]) -> list[tuple[str, Sides]]:
    """Groups by over-refusal, highest first, then by harmful refusal, lowest first."""

    def badness(entry: tuple[str, Sides]) -> tuple[float, float]:
        over, harmful = entry[1].over_refusal.estimate, entry[1].harmful_refusal.estimate
        return -1.0 if over is None else over, -1.0 if harmful is None else -harmful

    return sorted(groups.items(), key=badness, reverse=True)


def best_runs(runs: Sequence[Run]) -> tuple[frozenset[str], str]:
    """The ids of the runs on the Pareto front, and what being on it means.

    Runs of different suites or judges are not comparable: each such group has a front of its own,
    and a run alone in its group is on none.
    """
    groups: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.record.suite_hash, run.record.judge].append(run)
    best = frozenset(
        point.name
        for group in groups.values()
        if len(group) > 1
        for point in pareto_front(
            Point(run.id, run.over_refusal.estimate, run.harmful_refusal.estimate)
            for run in group
            if run.over_refusal.estimate is not None and run.harmful_refusal.estimate is not None
        )
    )
    if len(groups) == 1:
        return best, "no other run here is better on both sides"
    return best, (
        "no other run here of the same suite and judge is better on both sides; "
        "rates of different suites or judges are not comparable"
    )


def usage_words(run: Run) -> str | None:
    """``12,345 tokens in, 67,890 out, 0.12 USD``; ``None`` where nothing is known."""
    usage = run.usage
    if usage["input_tokens"] is None and usage["output_tokens"] is None:
        return None
    words = f"{usage['input_tokens'] or 0:,} tokens in, {usage['output_tokens'] or 0:,} out"
    return words if usage["cost_usd"] is None else f"{words}, {usage['cost_usd']:.2f} USD"


def subject_notice(runs: Iterable[Run]) -> str | None:
    """What stands over every report in which Bouncer sat the exam; ``None`` for other models."""
    names = {str(run.record.variant.get("model", "")).partition(":")[0] for run in runs}
    return _TEST_SUBJECT if "bouncer" in names else None


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
    """Untrusted text on one line: no control, direction or unseen characters, cut to ``width``."""
    head = _SPACE.sub(" ", text[: 8 * width]).strip()
    shown = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", head)
    return shown if len(shown) <= width else shown[: width - 1] + "…"


def readable(text: str) -> str:
    """Untrusted text whose lines stay: no control, direction or unseen characters, each of them
    replaced by one, so that places in it stay too.
    """
    return "\n".join(_UNSEEN.sub("\N{REPLACEMENT CHARACTER}", line) for line in text.split("\n"))


def _ids(ids: tuple[str, ...]) -> str:
    shown = ", ".join(visible(i, 40) for i in ids[:5])
    more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
    return f"{len(ids)} {'prompt' if len(ids) == 1 else 'prompts'} ({shown}{more})"
