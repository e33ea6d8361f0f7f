"""The figures behind the plots of a direction: projections by layer, cosines between groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from overrefusal.activations.record import project
from overrefusal.directions.direction import Direction
from overrefusal.directions.extract import HARMFUL, PLAIN, Extraction
from overrefusal.directions.subject import Subject
from overrefusal.statistics.interval import z_value


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval, normal; without one where n is 1."""

    mean: float
    low: float | None
    high: float | None
    n: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def mean_of(values: Sequence[float] | Tensor, confidence: float = 0.95) -> Mean:
    """The mean of ``values`` (at least one), its interval by the sample's standard error."""
    x = torch.as_tensor(values, dtype=torch.float64)
    n = len(x)
    if n < 2:
        return Mean(float(x.mean()), None, None, n)
    half = z_value(confidence) * float(x.std()) / math.sqrt(n)
    return Mean(float(x.mean()), float(x.mean()) - half, float(x.mean()) + half, n)


def projections(
    subject: Subject, direction: Direction, groups: Mapping[str, Sequence[Sequence[int]]]
) -> dict[str, list[dict[str, Any]]]:
    """For each group of prompts its mean projection onto the direction at every layer.

    In units of the distance of the two means at the direction's own layer: plain prompts' mean lies
    at 0 there, harmful prompts' at 1.
    """
    position = next(p for p in subject.positions if p.name == direction.position)
    out = {}
    for name, prompts in groups.items():
        found = project(subject.model, subject.structure, prompts, position, direction.vector)
        scaled = on_scale(direction, found)
        out[name] = [mean_of(scaled[:, layer]).to_dict() for layer in range(scaled.shape[1])]
    return out


def on_scale(direction: Direction, projected: Tensor) -> Tensor:
    """Projections in units of the two means' distance at the direction's layer, 0 at the plain."""
    plain, harmful = direction.to_plain[direction.layer], direction.to_harmful[direction.layer]
    return (projected - plain) / (harmful - plain)


def cosines(found: Extraction, layer: int, position: int) -> dict[str, dict[str, Any]]:
    """Cosines between differences of means at one layer and position, by kind of group.

    ``categories`` of harmful prompts and ``patterns`` of suspicious ones less the plain prompts of
    the direction's language, ``languages`` each less its own plain ones; each with the number of
    prompts, and first the direction itself.
    """
    kinds = {
        "categories": (f"{HARMFUL}/category/", None),
        "patterns": ("suspicious/pattern/", None),
        "languages": (f"{HARMFUL}/language/", f"{PLAIN}/language/"),
    }
    out: dict[str, dict[str, Any]] = {}
    for kind, (prefix, base) in kinds.items():
        names, vectors, counts = ["direction"], [], [found.count(HARMFUL)]
        vectors.append(found.difference(HARMFUL)[layer, position])
        for group in found.moments.groups:
            if not group.startswith(prefix):
                continue
            name = group.removeprefix(prefix)
            other = PLAIN if base is None else f"{base}{name}"
            if not found.count(other):
                continue
            names.append(name)
            counts.append(found.count(group))
            vectors.append(found.difference(group, other)[layer, position])
        units = torch.nn.functional.normalize(torch.stack(vectors), dim=-1)
        out[kind] = {"names": names, "counts": counts, "cosines": (units @ units.T).tolist()}
    return out
