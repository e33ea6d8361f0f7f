"""Selection without refusal tokens: by where an edit takes the stream (COSMIC, Siu et al. 2025).

A direction mediates refusal where its addition makes plain prompts look like harmful ones, and its
ablation harmful prompts like plain ones, in the layers in which the two differ most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from overrefusal.activations.edit import Edit, editing
from overrefusal.activations.positions import Position
from overrefusal.activations.record import record_moments
from overrefusal.activations.structure import Structure
from overrefusal.directions.direction import Direction
from overrefusal.directions.select import Candidate

LOWEST = 0.1
"""Share of the layers that are compared: those with the lowest cosine between the groups."""


def select_cosmic(
    model: nn.Module,
    structure: Structure,
    directions: Mapping[tuple[int, int], Direction],
    harmful: Sequence[Sequence[int]],
    plain: Sequence[Sequence[int]],
    positions: Sequence[Position],
    *,
    max_depth: float = 0.8,
) -> tuple[Candidate, tuple[Candidate, ...]]:
    """The candidate of the highest score, and all of them.

    The score is cos(plain under addition, harmful) + cos(harmful under ablation, plain), between
    mean streams at the prompts' last token, the layers with the lowest cosine joined to one vector;
    from -2 to 2. Layers from the share ``max_depth`` of all on are left out.
    """
    last = positions[-1:]
    means = {
        "harmful": _mean(model, structure, harmful, last),
        "plain": _mean(model, structure, plain, last),
    }
    cosines = torch.cosine_similarity(means["harmful"], means["plain"], dim=-1)
    compared = cosines.argsort()[: max(1, round(LOWEST * len(structure)))]
    found = []
    for (layer, position), direction in sorted(directions.items()):
        candidate = Candidate(layer, position)
        if layer >= max_depth * len(structure):
            found.append(replace(candidate, rejected="layer"))
            continue
        induced = _mean(model, structure, plain, last, direction.addition())
        bypassed = _mean(model, structure, harmful, last, direction.ablation())
        score = _alike(induced, means["harmful"], compared)
        score += _alike(bypassed, means["plain"], compared)
        found.append(replace(candidate, cosmic=score))
    best = max(found, key=lambda c: -torch.inf if c.cosmic is None else c.cosmic)
    return best, tuple(found)


def _mean(
    model: nn.Module,
    structure: Structure,
    prompts: Sequence[Sequence[int]],
    last: Sequence[Position],
    edit: Edit | None = None,
) -> Tensor:
    """The mean stream of the prompts' last token, (layers + 1, width)."""
    with editing(structure, *([] if edit is None else [edit])):
        found = record_moments(model, structure, prompts, last, {"all": range(len(prompts))})
    return found.means[0, :, 0]


def _alike(a: Tensor, b: Tensor, layers: Tensor) -> float:
    return float(torch.cosine_similarity(a[layers].flatten(), b[layers].flatten(), dim=0))
