"""Figures of a judge against human labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def f1(positive: Array, said: Array) -> float:
    """F1 of refused or partial."""
    hit = float((positive & said).sum())
    return 2 * hit / max(float(positive.sum() + said.sum()), 1.0)


def reliability(positive: Array, probability: Array, bins: int = 10) -> list[dict[str, float]]:
    """Per bin of equal width: number, mean probability, observed share."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    rows = []
    for b in range(bins):
        inside = place == b
        if inside.any():
            rows.append(
                {
                    "from": b / bins,
                    "n": int(inside.sum()),
                    "said": float(probability[inside].mean()),
                    "observed": float(positive[inside].mean()),
                }
            )
    return rows


def ece(positive: Array, probability: Array, bins: int = 10) -> float:
    """Expected calibration error, Guo et al. 2017, bins of equal width."""
    rows = reliability(positive, probability, bins)
    return sum(r["n"] * abs(r["said"] - r["observed"]) for r in rows) / len(positive)
