"""Reading the weights and naming a prompt's pattern with its probability."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from overrefusal.diagnosis.findings import Guess
from overrefusal.diagnosis.patterns.features import BUCKETS, cues, ngrams, text_of, width
from overrefusal.errors import OverrefusalError
from overrefusal.records import Pattern, Prompt

FORMAT = "1"
ORDER = tuple(Pattern)
"""The patterns in the order of the weights."""


@dataclass(frozen=True, slots=True)
class Weights:
    """A multinomial logistic regression; shapes in brackets, float32."""

    idf: Any
    """[2 * BUCKETS] Inverse document frequency of each bucket."""
    ngrams: Any
    """[6, 2 * BUCKETS]"""
    cues: Any
    """[6, cues], for cues as they are."""
    bias: Any
    """[6]"""
    version: str = "1"


def classify(prompt: Prompt) -> Guess:
    """The likeliest pattern of ``prompt`` with its calibrated probability.

    Meant for prompts that should be answered: of a harmful one it says which pattern it resembles.
    """
    found = probabilities(text_of(prompt), _bundled())
    best = int(found.argmax())
    return Guess(
        ORDER[best],
        float(found[best]),
        f"classifier/{_bundled().version}",
        {pattern: float(p) for pattern, p in zip(ORDER, found, strict=True)},
    )


def probabilities(text: str, weights: Weights) -> np.ndarray:
    """(6,) in the order of ``ORDER``, summing to 1."""
    grams = ngrams(text)
    scores = weights.bias + weights.cues @ cues(text)
    for half in (0, 1):
        buckets = [bucket for bucket in grams if bucket // BUCKETS == half]
        if buckets:
            values = np.array([grams[b] for b in buckets]) * weights.idf[buckets]
            # Nothing but n-grams that training never saw has no length.
            length = np.linalg.norm(values) or 1.0
            scores = scores + weights.ngrams[:, buckets] @ (values / length)
    odds = np.exp(scores - scores.max())
    shares: np.ndarray = odds / odds.sum()
    return shares


@cache
def _bundled() -> Weights:
    from safetensors import SafetensorError, safe_open

    path = files("overrefusal.diagnosis") / "patterns" / "weights.safetensors"
    try:
        with safe_open(str(path), framework="numpy") as stored:
            meta = stored.metadata() or {}
            if meta.get("format") != FORMAT:
                raise OverrefusalError(
                    f"{path}: weights of format {meta.get('format')}; this version reads {FORMAT}"
                )
            arrays = {
                name: stored.get_tensor(name).astype(np.float32)
                for name in stored.keys()  # noqa: SIM118
            }
    except (OSError, SafetensorError) as error:
        raise OverrefusalError(f"{path}: cannot be read: {error}") from None
    # N-gram weights are bytes with a scale for each pattern.
    grams = arrays["ngrams"] * arrays["scale"][:, None]
    found = Weights(arrays["idf"], grams, arrays["cues"], arrays["bias"], meta["version"])
    if found.cues.shape[1] != width() or grams.shape[1] != 2 * BUCKETS:
        raise OverrefusalError(f"{path}: the weights are of another version of the features")
    return found
