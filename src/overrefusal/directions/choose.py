"""From an extraction to a direction file: what `overrefusal direction select` does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from overrefusal.directions.cosmic import select_cosmic
from overrefusal.directions.direction import Direction
from overrefusal.directions.extract import FALSE, HARMFUL, LEAST, PLAIN, Extraction
from overrefusal.directions.files import DirectionFile, Provenance
from overrefusal.directions.pictures import cosines, projections
from overrefusal.directions.score import refusal_score
from overrefusal.directions.select import Limits, candidates_of, gathered, select
from overrefusal.directions.subject import Subject
from overrefusal.directions.surgical import surgical
from overrefusal.errors import OverrefusalError
from overrefusal.records import Group
from overrefusal.suites import Suite

METHODS = ("scores", "cosmic")


def choose(
    subject: Subject,
    suite: Suite,
    found: Extraction,
    provenance: Provenance,
    *,
    by: str = "scores",
    affine: bool = False,
    limits: Limits | None = None,
    strength: float = 1.0,
    every_score: bool = False,
) -> DirectionFile:
    """Select among the candidates of ``found`` on its validation prompts, which ``suite`` holds.

    ``by`` is one of ``METHODS``. With at least ``LEAST`` false refusals, the file has their vector
    and its surgical part, ``strength`` being the lambda of it.

    Raises ``OverrefusalError`` where no candidate is left.
    """
    limits = limits or Limits()
    prompts = {p.id: p for p in suite}
    ids = {
        group: [subject.ids(prompts[i]) for i in wanted]
        for group, wanted in found.validation.items()
    }
    directions = candidates_of(
        found.moments.mean(HARMFUL), found.moments.mean(PLAIN), affine=affine
    )
    harmful, plain = ids[HARMFUL], ids[PLAIN]
    selection: dict[str, Any] = {"by": by, "affine": affine, "max_depth": limits.max_depth}
    if by == "cosmic":
        best, candidates = select_cosmic(
            subject.model,
            subject.structure,
            directions,
            harmful,
            plain,
            subject.positions,
            max_depth=limits.max_depth,
        )
    else:
        if found.tokens is None:
            raise OverrefusalError(
                "the first token of the model's answers does not tell its refusals from the rest, "
                "so there is no refusal score to select by; select with --by cosmic"
            )
        best, candidates = select(
            subject.model,
            subject.structure,
            directions,
            harmful,
            plain,
            found.tokens.ids,
            limits,
            every_score=every_score,
        )
        selection |= {
            "max_kl": limits.max_kl,
            "min_induction": limits.min_induction,
            "baseline_harmful": _mean_score(subject, harmful, found.tokens.ids),
            "baseline_plain": _mean_score(subject, plain, found.tokens.ids),
        }
    selection |= {
        "n_harmful": len(harmful),
        "n_plain": len(plain),
        "best": best.to_dict(),
        "candidates": [c.to_dict() for c in candidates],
    }
    key = best.layer, best.position
    false = found.difference(FALSE) if found.count(FALSE) >= LEAST else None
    direction = _named(directions[key], subject.positions[best.position].name)
    return DirectionFile(
        direction=direction,
        provenance=provenance,
        positions=subject.positions,
        selection=selection,
        tokens=() if found.tokens is None else found.tokens.ids,
        false_refusal=None if false is None else false[key].float(),
        surgical=None
        if false is None
        else surgical(false[key], found.difference(HARMFUL)[:-1], strength).float(),
        strength=strength,
        pictures={
            "projections": projections(
                subject,
                direction,
                {g.value: ids[g.value] for g in Group if ids[g.value]},
            ),
            "cosines": cosines(found, *key),
        },
    )


def _mean_score(subject: Subject, prompts: Sequence[list[int]], tokens: Sequence[int]) -> float:
    return float(refusal_score(gathered(subject.model, prompts), tokens).mean())


def _named(direction: Direction, position: str) -> Direction:
    return replace(direction, position=position)
