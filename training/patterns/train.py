"""Train the classifier of patterns, measure it, and write its weights and model card.

    python training/patterns/train.py

It learns from the project's own lines, under ``examples/`` and of four patterns in Bouncer's
lexicon, and from the suspicious prompts of the suite ``starter``. It is measured by
cross-validation on the latter: ten folds, a prompt and its twins always in one of them. The same
inputs give the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from safetensors.numpy import save
from scipy.sparse import csr_matrix, diags, hstack, vstack
from sklearn.linear_model import LogisticRegression

from overrefusal.bouncer.grammar import PATTERNS
from overrefusal.bouncer.lexicon import lexicon
from overrefusal.diagnosis.patterns.features import BUCKETS, cues, ngrams, text_of
from overrefusal.diagnosis.patterns.model import FORMAT, ORDER, Weights, probabilities
from overrefusal.files import write_whole
from overrefusal.records import Pattern, Prompt
from overrefusal.suites import load_suite

HERE = Path(__file__).resolve().parent
OUT = HERE.parents[1] / "src" / "overrefusal" / "diagnosis" / "patterns"
FOLDS = 10
SEEDS = range(2)
C = 5.0
WORDS = 1.0
CUES = 0.03
"""Weights of words and of standardized cues against character n-grams, whose rows have length 1."""
SUITE = 2.0
"""Weight of a prompt of the suite against one of the project's own lines."""
CLEAR = ("homonym", "work", "history", "fiction")
"""Intents of Bouncer's lines that mean one pattern; its others are divided in another way."""


@dataclass(frozen=True)
class Table:
    """Features of texts; ``grams`` are 1 + log counts, (texts, 2 * BUCKETS)."""

    grams: Any
    cues: Any
    labels: Any
    weights: Any

    def rows(self, index: Any) -> Table:
        return Table(
            *(values[index] for values in (self.grams, self.cues, self.labels)), self.weights[index]
        )


def table(texts: list[str], labels: list[Pattern], weight: float = 1.0) -> Table:
    """The features of ``texts``, each of this weight."""
    rows, columns, values = [], [], []
    for i, text in enumerate(texts):
        for bucket, value in ngrams(text).items():
            rows.append(i)
            columns.append(bucket)
            values.append(value)
    shape = (len(texts), 2 * BUCKETS)
    grams = csr_matrix((values, (rows, columns)), shape=shape)
    return Table(
        grams,
        np.array([cues(t) for t in texts]),
        np.array([ORDER.index(p) for p in labels]),
        np.full(len(texts), weight),
    )


def joined(one: Table, other: Table) -> Table:
    """Both, one after the other."""
    return Table(
        vstack([one.grams, other.grams]).tocsr(),
        np.vstack([one.cues, other.cues]),
        np.concatenate([one.labels, other.labels]),
        np.concatenate([one.weights, other.weights]),
    )


def fit(data: Table) -> Weights:
    """A multinomial logistic regression with an L2 penalty on the standardized features."""
    seen = np.asarray((data.grams > 0).sum(0)).ravel()
    idf = np.where(seen > 0, np.log((1 + data.grams.shape[0]) / (1 + seen)) + 1, 0.0)
    halves = []
    for half in (0, 1):
        part = slice(half * BUCKETS, (half + 1) * BUCKETS)
        weighted = data.grams[:, part] @ diags(idf[part])
        norms = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
        halves.append(diags((WORDS, 1.0)[half] / np.maximum(norms, 1e-9)) @ weighted)
    mean, spread = data.cues.mean(0), data.cues.std(0) + 1e-6
    dense = CUES * (data.cues - mean) / spread
    model = LogisticRegression(C=C, max_iter=3000, class_weight="balanced")
    features = hstack([*halves, csr_matrix(dense)]).tocsr()
    model.fit(features, data.labels, sample_weight=data.weights)
    grams, scaled = model.coef_[:, : 2 * BUCKETS], model.coef_[:, 2 * BUCKETS :]
    grams[:, :BUCKETS] *= WORDS
    by_cue = scaled * CUES / spread
    return Weights(idf, grams, by_cue, model.intercept_ - by_cue @ mean)


def read_examples(folder: Path) -> tuple[list[str], list[Pattern]]:
    """The project's own lines and their patterns."""
    texts, labels = [], []
    for path in sorted(folder.glob("*.txt")):
        pattern = None
        for line in path.read_text("utf-8").splitlines():
            if line.startswith("[") and line.endswith("]"):
                pattern = Pattern(line[1:-1])
            elif line.strip():
                assert pattern is not None, f"{path}: a line before the first section"
                texts.append(line.strip())
                labels.append(pattern)
    return texts, labels


def own_lines() -> tuple[list[str], list[Pattern]]:
    """The project's own lines: the examples, then Bouncer's English lines of clear intent."""
    texts, labels = read_examples(HERE / "examples")
    clear = [line for line in lexicon("en").lines if line.intent in CLEAR]
    return [*texts, *(x.text for x in clear)], [*labels, *(PATTERNS[x.intent] for x in clear)]


def version_of(texts: list[str], patterns: list[Pattern]) -> str:
    """Eight hex digits over all that the classifier learns from."""
    prompts = [(text_of(p), p.pattern) for p in load_suite("starter") if p.pattern is not None]
    content = "\n".join(f"{p} {t}" for t, p in [*zip(texts, patterns, strict=True), *prompts])
    return hashlib.sha256(content.encode()).hexdigest()[:8]


def family(prompt: Prompt) -> str:
    """A prompt and its twins are one family."""
    return prompt.contrast_of.removesuffix("-x") if prompt.contrast_of else prompt.id


def cross_validated(prompts: list[Prompt], own: Table, data: Table, seed: int) -> Any:
    """Log-probabilities out of fold, (prompts, 6)."""
    families = sorted({family(p) for p in prompts})
    place = np.random.default_rng(seed).permutation(len(families)) % FOLDS
    fold_of = dict(zip(families, place, strict=True))
    fold = np.array([fold_of[family(p)] for p in prompts])
    out = np.zeros((len(prompts), len(ORDER)))
    for k in range(FOLDS):
        weights = fit(joined(own, data.rows(np.flatnonzero(fold != k))))
        for i in np.flatnonzero(fold == k):
            out[i] = np.log(probabilities(text_of(prompts[i]), weights))
    return out


def temperature(scores: Any, labels: Any) -> float:
    """The factor on the scores with the least cross-entropy."""
    grid = np.linspace(0.5, 4, 71)

    def loss(factor: float) -> float:
        scaled = factor * scores
        scaled = scaled - np.log(np.exp(scaled).sum(1, keepdims=True))
        return -float(scaled[np.arange(len(labels)), labels].mean())

    return float(min(grid, key=loss))


def quantized(weights: Weights, factor: float) -> dict[str, Any]:
    """What is stored: n-gram weights as bytes, the rest in half or single precision."""
    grams = weights.ngrams * factor
    scale = np.abs(grams).max(1) / 127
    arrays = {
        "idf": weights.idf.astype(np.float16),
        "ngrams": np.round(grams / scale[:, None]).astype(np.int8),
        "scale": scale.astype(np.float32),
        "cues": (weights.cues * factor).astype(np.float32),
        "bias": (weights.bias * factor).astype(np.float32),
    }
    # What is no block of memory would be written in the wrong order.
    return {name: np.ascontiguousarray(array) for name, array in arrays.items()}


def main() -> None:
    """Train, measure, write."""
    from card import card

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT, help="where weights and card go")
    parser.add_argument("--measure", action="store_true", help="only print the figures")
    args = parser.parse_args()
    prompts = [p for p in load_suite("starter") if p.pattern is not None]
    labels = [p.pattern for p in prompts if p.pattern]
    data = table([text_of(p) for p in prompts], labels, SUITE)
    texts, patterns = own_lines()
    own = table(texts, patterns)
    english = np.array([p.language == "en" for p in prompts])
    runs = []
    for seed in SEEDS:
        runs.append(cross_validated(prompts, own, data, seed))
        right = runs[-1].argmax(1) == data.labels
        print(
            f"seed {seed}: {right.mean():.3f}, English {right[english].mean():.3f}", file=sys.stderr
        )
        if args.measure:
            break
    alone = fit(own)
    outside = np.array([probabilities(text_of(p), alone).argmax() for p in prompts])
    factor = temperature(np.vstack(runs), np.tile(data.labels, len(runs)))
    version = version_of(texts, patterns)
    figures = measured(prompts, data.labels, runs, factor)
    figures["own_only"] = float((outside == data.labels).mean())
    figures["own"] = {p.value: n for p, n in Counter(patterns).items()}
    text = card(figures, version)
    print(text)
    if args.measure:
        return
    arrays = quantized(fit(joined(own, data)), factor)
    blob = save(arrays, {"format": FORMAT, "version": version})
    write_whole(args.out / "weights.safetensors", blob)
    write_whole(args.out / "MODEL_CARD.md", text)


def measured(prompts: list[Prompt], labels: Any, runs: list[Any], factor: float) -> dict[str, Any]:
    """Figures of the predictions out of fold, mean over the shufflings."""
    said = [scores.argmax(1) for scores in runs]
    languages = np.array([p.language for p in prompts])
    confusion = np.zeros((len(ORDER), len(ORDER)))
    for guesses in said:
        np.add.at(confusion, (labels, guesses), 1 / len(runs))
    sure = [np.exp(factor * scores) for scores in runs]
    sure = [p / p.sum(1, keepdims=True) for p in sure]
    top = np.concatenate([p.max(1) for p in sure])
    right = np.concatenate([guesses == labels for guesses in said])
    bins = []
    for low in np.arange(0.1, 1.0, 0.1):
        inside = (top >= low) & (top < low + 0.1 + 1e-9 * (low > 0.85))
        if inside.any():
            bins.append(
                (
                    float(low),
                    int(inside.sum()),
                    float(top[inside].mean()),
                    float(right[inside].mean()),
                )
            )
    return {
        "accuracy": float(right.mean()),
        "by_seed": [float((guesses == labels).mean()) for guesses in said],
        "by_language": {
            language: (
                int((languages == language).sum()),
                float(np.mean([(g == labels)[languages == language].mean() for g in said])),
            )
            for language in sorted(set(languages))
        },
        "confusion": confusion,
        "bins": bins,
        "ece": float(sum(n * abs(said - seen) for _, n, said, seen in bins) / len(right)),
        "n": len(prompts),
    }


if __name__ == "__main__":
    main()
