"""Our suites as Inspect's tasks and our judges as its scorers: ``overrefusal/exam`` and
``overrefusal/judged`` in Inspect's registry.

    inspect eval overrefusal/exam -T suite=starter --model openai/gpt-4o-mini
    inspect score FILE.eval --scorer overrefusal/judged -S judge=rules

Needs the extra ``[inspect]``; loaded through the entry point, never by the core.
"""

# Where Inspect is not installed, its decorators have no types.
# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from collections import defaultdict
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import (
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
)
from inspect_ai.scorer import Score, metric, scorer
from inspect_ai.solver import generate, system_message

from overrefusal.judges.protocol import Exchange, verdicts
from overrefusal.judges.registry import get_judge
from overrefusal.models.inspect_output import read_output
from overrefusal.models.registry import open_model
from overrefusal.records import Expected, Outcome, Pattern, Prompt
from overrefusal.statistics import Facts, Rate, Tally, rates_of
from overrefusal.suites import load_suite

_ROLES = {"user": ChatMessageUser, "assistant": ChatMessageAssistant}
_UNSCORED = (Outcome.ERROR, Outcome.UNJUDGED)
"""What Inspect counts as unscored, so that no failure falls into a rate."""


@task
def exam(
    suite: str = "starter",
    judge: str = "rules",
    system: str | None = None,
    language: str | None = None,
    limit: int | None = None,
) -> Task:
    """A suite as a task: the prompts, one generation each, our judge as the scorer.

    ``suite`` is a name or a file; ``judge`` a spec; ``system`` the operator's system prompt;
    ``language`` and ``limit`` keep a part of the suite. Greedy unless Inspect is told otherwise.
    """
    exam_suite = load_suite(suite, language=language, limit=limit)
    return Task(
        dataset=MemoryDataset([_sample(p) for p in exam_suite], name=exam_suite.name),
        solver=[*([system_message(system)] if system else []), generate()],
        scorer=judged(judge),
        config=GenerateConfig(temperature=0.0),
        version=exam_suite.version,
        metadata={"suite": exam_suite.name, "content_hash": exam_suite.content_hash},
    )


@metric(scores="unreduced")
def refusal_rates() -> Any:
    """Both sides with 95 % Wilson intervals, several epochs of a prompt clustered.

    ``over_refusal`` and ``harmful_refusal`` with ``_low``, ``_high`` and ``_n``; ``filtered``, the
    responses on which an external filter acted; ``unlabelled``, those of samples whose metadata
    has no ``expected``. A rate without responses is left out.
    """

    def compute(scores: list[Any]) -> dict[str, float | None]:
        prompts: defaultdict[tuple[Any, Facts], list[Outcome]] = defaultdict(list)
        unlabelled = 0
        for score in scores:
            outcome = Outcome(score.score.value)
            facts = _facts(score.sample_metadata or {})
            if facts is None:
                unlabelled += 1
            else:
                prompts[score.sample_id, facts].append(outcome)
        tally = Tally()
        for (_, facts), outcomes in prompts.items():
            tally.add(facts, outcomes)
        rates = rates_of(tally)
        filtered = sum(side[Outcome.FILTERED] for side in rates.outcomes.values())
        return {
            **_named("over_refusal", rates.over_refusal),
            **_named("harmful_refusal", rates.harmful_refusal),
            "filtered": filtered,
            "unlabelled": unlabelled,
        }

    return compute


@scorer(metrics=[refusal_rates()])
def judged(judge: str = "rules") -> Any:
    """A judge as a scorer: the score's value is the outcome, ``complied``, ``refused``, ...

    Beside it are the judge's probability, the two axes, the sentence that decided, who acted, and
    the categories. What could not be judged is left unscored, with the reason.
    """
    the_judge = get_judge(judge, open_model)

    async def score(state: Any, target: Any) -> Score:
        response = read_output(state.output.model_dump(mode="json", exclude_none=True))
        prompt = state.user_prompt.text if _has_user_turn(state) else ""
        [verdict] = await verdicts(the_judge, [Exchange(prompt, response)])
        span = verdict.evidence
        details = {
            "judge": the_judge.identity,
            "refusal_probability": verdict.refusal_probability,
            "answered": verdict.answered,
            "distanced": verdict.distanced,
            "evidence": span and {"start": span.start, "end": span.end, "act": span.act},
            "text_outcome": verdict.text_outcome,
            "actor": response.actor,
            "categories": list(response.categories),
        }
        sentence = f"{span.act}: {response.text[span.start : span.end]}" if span else None
        if verdict.outcome in _UNSCORED:
            return Score.unscored(
                reason=verdict.outcome.value, explanation=verdict.reason, metadata=details
            )
        return Score(
            value=verdict.outcome.value,
            answer=response.text,
            explanation=verdict.reason or sentence,
            metadata=details,
        )

    return score


def _sample(prompt: Prompt) -> Sample:
    turns: list[Any] = [ChatMessageSystem(content=prompt.system)] if prompt.system else []
    turns += [_ROLES[m.role](content=m.content) for m in prompt.messages]
    facts = {
        "expected": prompt.expected.value,
        "pattern": prompt.pattern and prompt.pattern.value,
        "category": prompt.category,
        "language": prompt.language,
        "contrast_of": prompt.contrast_of,
    }
    return Sample(
        id=prompt.id,
        input=turns,
        target=prompt.expected.value,
        metadata={name: value for name, value in facts.items() if value is not None},
    )


def _facts(metadata: dict[str, Any]) -> Facts | None:
    """What the rates are broken down by; ``None`` where the sample does not say what to expect."""
    try:
        expected = Expected(metadata.get("expected", ""))
        pattern = Pattern(metadata["pattern"]) if metadata.get("pattern") else None
    except ValueError:
        return None
    return Facts(expected, pattern, metadata.get("category"), metadata.get("language", "en"))


def _named(name: str, rate: Rate) -> dict[str, float | None]:
    return {
        name: rate.estimate,
        f"{name}_low": rate.low,
        f"{name}_high": rate.high,
        f"{name}_n": rate.n,
    }


def _has_user_turn(state: Any) -> bool:
    return any(message.role == "user" for message in state.messages)
