"""Extraction: the mean stream of each group of prompts, for every layer and position in one pass.

A direction is the difference of two such means (Arditi et al., arXiv:2406.11717, 2.3): of harmful
and plain prompts the refusal direction, of wrongly refused and plain ones the false-refusal
direction (Wang et al., arXiv:2410.03415).
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from overrefusal.activations.batches import all_next_logits
from overrefusal.activations.record import Moments, record_moments
from overrefusal.directions.answers import outcomes
from overrefusal.directions.refusal_tokens import RefusalTokens, find_refusal_tokens
from overrefusal.directions.subject import Subject
from overrefusal.errors import OverrefusalError
from overrefusal.judges.protocol import Judge
from overrefusal.records import Group, Outcome, Prompt
from overrefusal.suites import Suite

HARMFUL, PLAIN, FALSE = "harmful", "plain", "false_refusals"
"""The groups that directions are made of: harmful prompts the model refuses, plain ones it answers,
and suspicious ones it refuses though they should be answered."""
LEAST = 8
"""Prompts from which on a category, pattern or language has a mean of its own."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which prompts of a suite are used."""

    language: str = "en"
    """The language that the directions come from."""
    train: int = 128
    """Prompts of each group and language for the means."""
    validation: int = 32
    """And for the selection among the candidates."""
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Extraction:
    """The means of every group, and what selection needs besides."""

    moments: Moments
    """Groups as ``HARMFUL``, and ``HARMFUL/language/de``, ``HARMFUL/category/theft``,
    ``PLAIN/language/de``, ``suspicious/pattern/dual_use``; all of the training prompts."""
    tokens: RefusalTokens | None
    """``None`` where the first token does not tell a refusal; then COSMIC selects."""
    validation: dict[str, tuple[str, ...]]
    """Prompt ids by group: harmful ones refused, plain ones answered, all suspicious ones."""
    dropped: dict[str, int]
    """How many prompts a filter took, by what it is called."""

    def difference(self, group: str, base: str = PLAIN) -> Tensor:
        """``mean(group) - mean(base)``, (layers + 1, positions, width) in float64."""
        return self.moments.mean(group) - self.moments.mean(base)

    def count(self, group: str) -> int:
        """The prompts behind a mean; 0 where there is no such group."""
        names = self.moments.groups
        return self.moments.counts[names.index(group)] if group in names else 0


def extract(subject: Subject, suite: Suite, judge: Judge, plan: Plan = Plan()) -> Extraction:
    """Ask the model a sample of ``suite``, keep the prompts it acts on as its group says, and
    record their means.

    Harmful prompts that it answers and plain ones that it refuses are dropped, by the judge's
    verdicts. Raises ``OverrefusalError`` naming the filter where none are left.
    """
    for group in (Group.HARMFUL, Group.PLAIN):
        if not suite.groups[group]:
            kinds = ", ".join(str(g) for g in suite.groups)
            raise OverrefusalError(
                f"suite {suite.name} has no {group} prompts, only {kinds}: a direction is the "
                "difference between harmful and plain ones; take a suite with both"
            )
    train, validation = draw(suite, plan)
    asked = [*train, *validation]
    for group in (Group.HARMFUL, Group.PLAIN):
        if not any(p.group is group and p.language == plan.language for p in asked):
            raise OverrefusalError(
                f"no {group} prompts left of {suite.groups[group]} in suite {suite.name}: none is "
                f"in language {plan.language!r}; name another with --language"
            )
    found = outcomes(subject, asked, judge)
    behaved = {p.id: _behaved(p, o) for p, o in zip(asked, found, strict=True)}
    dropped = _dropped(asked, found, plan.language)
    groups = _groups(train, behaved, plan.language)
    kept = {
        group.value: tuple(
            p.id
            for p in validation
            if _is(p, group, plan.language) and (behaved[p.id] or group is Group.SUSPICIOUS)
        )
        for group in Group
    }
    for name, action in ((HARMFUL, "answered"), (PLAIN, "refused")):
        if not groups[name] or not kept[name]:
            n = sum(_is(p, Group(name), plan.language) for p in asked)
            raise OverrefusalError(
                f"no {name} prompts left of {n} in language {plan.language!r}: the model "
                f"{action} {dropped[f'{name} {action}']} of them, which are dropped"
            )
    moments = record_moments(
        subject.model, subject.structure, [subject.ids(p) for p in train], subject.positions, groups
    )
    return Extraction(moments, _tokens(subject, asked, found, plan.language), kept, dropped)


def draw(suite: Iterable[Prompt], plan: Plan) -> tuple[list[Prompt], list[Prompt]]:
    """Training and validation prompts: at most so many of each group and language, by the seed.

    And at most half of those that there are, so that some are left to test with. Where a group has
    fewer than wanted, both parts shrink alike.
    """
    pools: dict[tuple[str, str], list[Prompt]] = defaultdict(list)
    for prompt in suite:
        pools[prompt.group, prompt.language].append(prompt)
    train: list[Prompt] = []
    validation: list[Prompt] = []
    wanted = plan.train + plan.validation
    for key in sorted(pools):
        pool = pools[key]
        random.Random(f"{plan.seed}/{key}").shuffle(pool)
        pool = pool[: min(wanted, (len(pool) + 1) // 2)]
        held = round(len(pool) * plan.validation / wanted)
        validation += pool[:held]
        train += pool[held:]
    return train, validation


def _is(prompt: Prompt, group: Group, language: str) -> bool:
    return prompt.group is group and prompt.language == language


def _behaved(prompt: Prompt, outcome: Outcome) -> bool:
    """Harmful and refused; plain and answered; suspicious and wrongly refused."""
    if prompt.group is Group.PLAIN:
        return outcome is Outcome.COMPLIED
    return outcome is Outcome.REFUSED


def _dropped(asked: Sequence[Prompt], found: Sequence[Outcome], language: str) -> dict[str, int]:
    counts = Counter({"harmful answered": 0, "plain refused": 0, "suspicious answered": 0})
    action = {Group.PLAIN: "refused"}
    for prompt, outcome in zip(asked, found, strict=True):
        if prompt.language == language and not _behaved(prompt, outcome):
            counts[f"{prompt.group} {action.get(prompt.group, 'answered')}"] += 1
    return dict(counts)


def _groups(
    prompts: Sequence[Prompt], behaved: Mapping[str, bool], language: str
) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {HARMFUL: [], PLAIN: [], FALSE: []}
    parts: dict[str, list[int]] = defaultdict(list)
    names = {Group.HARMFUL: HARMFUL, Group.PLAIN: PLAIN, Group.SUSPICIOUS: FALSE}
    for i, prompt in enumerate(prompts):
        own = prompt.language == language
        if own and prompt.group is Group.SUSPICIOUS:
            parts["suspicious"].append(i)
            parts[f"suspicious/pattern/{prompt.pattern}"].append(i)
        if not behaved[prompt.id]:
            continue
        name = names[prompt.group]
        if own:
            groups[name].append(i)
            if prompt.group is Group.HARMFUL and prompt.category:
                parts[f"{HARMFUL}/category/{prompt.category}"].append(i)
        if prompt.group is not Group.SUSPICIOUS:
            parts[f"{name}/language/{prompt.language}"].append(i)
    return groups | {name: rows for name, rows in sorted(parts.items()) if len(rows) >= LEAST}


def _tokens(
    subject: Subject, asked: Sequence[Prompt], found: Sequence[Outcome], language: str
) -> RefusalTokens | None:
    """From the prompts of all groups in the language that the model plainly refused or answered."""
    clear = [
        (p, o is Outcome.REFUSED)
        for p, o in zip(asked, found, strict=True)
        if p.language == language and o in (Outcome.REFUSED, Outcome.COMPLIED)
    ]
    prompts = [subject.ids(p) for p, _ in clear]
    refused = torch.tensor([r for _, r in clear])
    try:
        return find_refusal_tokens(
            (logits, refused[rows]) for rows, logits in all_next_logits(subject.model, prompts)
        )
    except OverrefusalError:
        return None
