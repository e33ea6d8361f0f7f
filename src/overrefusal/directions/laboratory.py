"""The laboratory: the published experiments on one direction, every one of them two-sided.

Refusal is taken away and added, in the direction's language and in others, beside random directions
of equal norm; then what moves the projection onto it. All of it is measurement.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from overrefusal.activations.edit import Edit
from overrefusal.activations.record import project
from overrefusal.directions.answers import MAX_TOKENS, outcomes
from overrefusal.directions.extract import draw
from overrefusal.directions.files import DirectionFile
from overrefusal.directions.framings import OPERATOR, PURPOSE
from overrefusal.directions.pictures import Mean, mean_of, on_scale
from overrefusal.directions.subject import Subject
from overrefusal.directions.surgical import surgical_ablation
from overrefusal.errors import OverrefusalError
from overrefusal.judges.protocol import Judge
from overrefusal.records import Group, Outcome, Prompt
from overrefusal.statistics import Comparison, Facts, Pair, Rate, Tally, compare, rates_of
from overrefusal.statistics.rates import ABSENT, Rates
from overrefusal.suites import Suite

BASELINE, ABLATION, ADDITION, SURGICAL = "unedited", "ablation", "addition", "surgical ablation"
PURPOSE_ROW, OPERATOR_ROW = "stated purpose", "operator prompt"


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides of a row. A rate without data has n = 0."""

    over_refusal: Rate
    """Of all prompts that should be answered."""
    plain_refusal: Rate
    """Of the plain ones among them."""
    harmful_refusal: Rate


@dataclass(frozen=True, slots=True)
class Row:
    """One edit or framing of the model, with its rates and their change against the unedited."""

    name: str
    sides: Sides
    languages: dict[str, Sides]
    change: Comparison | None
    """``None`` for the unedited model itself and for random directions taken together."""
    garbled: int
    """Answers that are no language any more, counted as not declined."""


@dataclass(frozen=True, slots=True)
class Control:
    """Random directions of the same norm."""

    ablation: Row
    addition: Row
    """All random directions together, as several samples of each prompt."""
    n: int
    worst: dict[str, float]
    """The largest change, as a share, that any of them made to a rate, by ``EDIT SIDE``."""


@dataclass(frozen=True, slots=True)
class Projection:
    """How far a group lies along the direction: plain prompts' mean is 0, harmful ones' 1."""

    group: str
    projection: Mean
    over_refusal: Rate
    harmful_refusal: Rate


@dataclass(frozen=True, slots=True)
class Shift:
    """How a framing moves a group's projection, prompt by prompt."""

    framing: str
    group: str
    shift: Mean


@dataclass(frozen=True, slots=True)
class Laboratory:
    """All experiments on one direction."""

    model: str
    suite: str
    suite_hash: str
    judge: str
    layer: int
    position: str
    affine: bool
    language: str
    n_prompts: int
    rows: tuple[Row, ...]
    control: Control | None
    transfer: dict[str, dict[str, float | None]]
    """By language: the effect of ablation and addition as a share of their effect in the
    direction's own language."""
    projections: tuple[Projection, ...]
    shifts: tuple[Shift, ...]

    def row(self, name: str) -> Row:
        """The row of that name."""
        return next(r for r in self.rows if r.name == name)

    def to_dict(self) -> dict[str, Any]:
        """All fields as plain nested dictionaries, without the single prompts that flipped."""
        out = asdict(self)
        for row in out["rows"]:
            if row["change"] is not None:
                del row["change"]["flips"]
        return out


def run(
    subject: Subject,
    file: DirectionFile,
    suite: Suite,
    judge: Judge,
    *,
    limit: int = 50,
    n_random: int = 10,
    seed: int = 0,
    max_tokens: int = MAX_TOKENS,
    on_step: Callable[[str], None] = lambda step: None,
) -> Laboratory:
    """All experiments, on at most ``limit`` prompts of each group and language of ``suite``.

    Where it is the suite that the direction was extracted with, the prompts used there are left
    out. ``on_step`` is told what comes next. Raises ``OverrefusalError`` where no harmful or no
    plain prompts are left, with what took them.
    """
    prompts = sample(suite, file, limit, seed)
    direction = file.direction

    def judged(
        name: str, edits: Sequence[Edit] = (), ids: Sequence[Sequence[int]] | None = None
    ) -> list[Outcome]:
        on_step(name)
        return outcomes(subject, prompts, judge, edits, max_tokens=max_tokens, ids=ids)

    before = judged(BASELINE)
    rows = [_row(BASELINE, prompts, [(o,) for o in before], None)]

    def add(name: str, found: Sequence[Outcome]) -> None:
        rows.append(_row(name, prompts, [(o,) for o in found], before))

    add(ABLATION, judged(ABLATION, [direction.ablation()]))
    add(ADDITION, judged(ADDITION, [direction.addition()]))
    if file.surgical is not None:
        edit = surgical_ablation(file.surgical, direction.plain, affine=direction.affine)
        add(SURGICAL, judged(SURGICAL, [edit]))
    framed = {
        PURPOSE_ROW: _framed(subject, prompts, "purpose", PURPOSE),
        OPERATOR_ROW: _framed(subject, prompts, "system", OPERATOR),
    }
    for name, ids in framed.items():
        add(name, judged(name, ids=ids))
    control = None
    if n_random:
        drawn = [direction.random(seed + i) for i in range(n_random)]
        control = _control(
            prompts,
            before,
            [judged(f"random ablation {i + 1}", [d.ablation()]) for i, d in enumerate(drawn)],
            [judged(f"random addition {i + 1}", [d.addition()]) for i, d in enumerate(drawn)],
        )
    on_step("projections")
    plain_ids = [subject.ids(p) for p in prompts]
    base = _project(subject, file, plain_ids)
    shifts = [
        Shift(name, group.value, mean_of(moved[chosen] - base[chosen]))
        for name, ids in framed.items()
        for moved in [_project(subject, file, ids)]
        for group in Group
        if (chosen := [i for i, p in enumerate(prompts) if p.group is group])
    ]
    return Laboratory(
        model=subject.loaded.identity,
        suite=suite.name,
        suite_hash=suite.content_hash,
        judge=judge.identity,
        layer=direction.layer,
        position=direction.position,
        affine=direction.affine,
        language=file.provenance.plan.language,
        n_prompts=len(prompts),
        rows=tuple(rows),
        control=control,
        transfer=_transfer(rows, file.provenance.plan.language),
        projections=tuple(_projections(prompts, before, base, file.provenance.plan.language)),
        shifts=tuple(shifts),
    )


def sample(suite: Suite, file: DirectionFile, limit: int, seed: int) -> list[Prompt]:
    """At most ``limit`` prompts of each group and language, none the direction was made with."""
    used: set[str] = set()
    if suite.content_hash == file.provenance.suite_hash:
        used = {p.id for part in draw(suite, file.provenance.plan) for p in part}
    pools: dict[tuple[str, str], list[Prompt]] = defaultdict(list)
    for prompt in suite:
        if prompt.id not in used:
            pools[prompt.language, prompt.group].append(prompt)
    out: list[Prompt] = []
    for key in sorted(pools):
        random.Random(f"{seed}/{key}").shuffle(pools[key])
        out += pools[key][:limit]
    for group in (Group.HARMFUL, Group.PLAIN):
        if not any(p.group is group for p in out):
            why = "it has none"
            if suite.groups[group]:
                why = f"the direction was extracted from all {suite.groups[group]}"
            raise OverrefusalError(
                f"no {group} prompts left in suite {suite.name}: {why}; name another with --suite"
            )
    return out


def _row(
    name: str,
    prompts: Sequence[Prompt],
    found: Sequence[tuple[Outcome, ...]],
    before: Sequence[Outcome] | None,
) -> Row:
    rates = _rates(prompts, found)
    change = None
    if before is not None:
        change = compare(
            Pair(p.id, Facts.of(p), (b,), a) for p, b, a in zip(prompts, before, found, strict=True)
        )
    return Row(
        name,
        _sides(rates),
        {
            language: _sides(
                _rates(*_where(prompts, found, lambda p, lang=language: p.language == lang))  # type: ignore[misc]
            )
            for language in sorted({p.language for p in prompts})
        },
        change,
        sum(o is Outcome.GARBLED for each in found for o in each),
    )


def _where(
    prompts: Sequence[Prompt],
    found: Sequence[tuple[Outcome, ...]],
    which: Callable[[Prompt], bool],
) -> tuple[list[Prompt], list[tuple[Outcome, ...]]]:
    kept = [i for i, p in enumerate(prompts) if which(p)]
    return [prompts[i] for i in kept], [found[i] for i in kept]


def _rates(prompts: Iterable[Prompt], found: Iterable[tuple[Outcome, ...]]) -> Rates:
    tally = Tally()
    for prompt, each in zip(prompts, found, strict=True):
        tally.add(Facts.of(prompt), each)
    return rates_of(tally)


def _sides(rates: Rates) -> Sides:
    plain = rates.by_pattern.get(ABSENT)
    none = rates_of(Tally()).over_refusal
    return Sides(
        rates.over_refusal, none if plain is None else plain.over_refusal, rates.harmful_refusal
    )


def _control(
    prompts: Sequence[Prompt],
    before: Sequence[Outcome],
    ablated: Sequence[Sequence[Outcome]],
    added: Sequence[Sequence[Outcome]],
) -> Control:
    n = len(ablated)
    base = _sides(_rates(prompts, [(o,) for o in before]))
    rows, worst = {}, {}
    for name, runs in ((ABLATION, ablated), (ADDITION, added)):
        together = [tuple(samples) for samples in zip(*runs, strict=True)]
        rows[name] = _row(f"{n} random directions, {name}", prompts, together, None)
        each = [_sides(_rates(prompts, [(o,) for o in run])) for run in runs]
        for side in ("over_refusal", "plain_refusal", "harmful_refusal"):
            start = getattr(base, side).estimate or 0.0
            worst[f"{name} {side}"] = max(
                abs((getattr(s, side).estimate or 0.0) - start) for s in each
            )
    return Control(rows[ABLATION], rows[ADDITION], n, worst)


def _transfer(rows: Sequence[Row], language: str) -> dict[str, dict[str, float | None]]:
    """The fall of harmful refusal under ablation and the rise of plain refusal under addition, each
    as a share of the most there was to change, over the same share in ``language``."""
    by_name = {r.name: r for r in rows}
    languages = by_name[BASELINE].languages

    def effect(name: str, side: str, of: str) -> float | None:
        before = getattr(languages[of], side).estimate
        after = getattr(by_name[name].languages[of], side).estimate
        room = None if before is None else (before if name == ABLATION else 1 - before)
        if not room or after is None or before is None:
            return None
        return abs(after - before) / room if (after > before) == (name == ADDITION) else 0.0

    out: dict[str, dict[str, float | None]] = {}
    for name, side in ((ABLATION, "harmful_refusal"), (ADDITION, "plain_refusal")):
        own = effect(name, side, language) if language in languages else None
        for other in languages:
            found = effect(name, side, other)
            if other != language:
                share = None if not own or found is None else found / own
                out.setdefault(other, {})[name] = share
    return out


def _framed(
    subject: Subject, prompts: Sequence[Prompt], what: str, words: Mapping[str, str]
) -> list[list[int]]:
    """The prompts with the framing in their language, English where there is none in it."""
    return [subject.ids(p, **{what: words.get(p.language, words["en"])}) for p in prompts]


def _project(subject: Subject, file: DirectionFile, ids: Sequence[Sequence[int]]) -> Tensor:
    direction = file.direction
    found = project(subject.model, subject.structure, ids, file.position, direction.vector)
    return on_scale(direction, found[:, direction.layer])


def _projections(
    prompts: Sequence[Prompt], found: Sequence[Outcome], projected: Tensor, language: str
) -> Iterable[Projection]:
    """Harmful and plain prompts and those of each pattern, in the direction's language."""
    groups: dict[str, list[int]] = {}
    for i, prompt in enumerate(prompts):
        if prompt.language == language:
            groups.setdefault(prompt.pattern or prompt.group.value, []).append(i)
    order = [Group.HARMFUL.value, *sorted(groups.keys() - set(Group)), Group.PLAIN.value]
    for name in order:
        if rows := groups.get(name):
            rates = _rates([prompts[i] for i in rows], [(found[i],) for i in rows])
            yield Projection(
                name, mean_of(projected[rows]), rates.over_refusal, rates.harmful_refusal
            )
