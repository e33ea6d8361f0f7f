"""Fits the weights of the ``rules`` judge anew and prints them beside the shipped ones.

    python training/judge/fit_rules.py --data DIR

Logistic regression (C = 1) on the development half, by prompt, of XSTest's and Reuter's labelled
responses, those of Reuter weighing 0.4, since its rubric parts from XSTest's on corrected premises.
``asks_back`` and ``stalls`` are too rare there and stay as they are set by hand.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from overrefusal.judges.features import NAMES, read
from overrefusal.judges.legible import answer_start
from overrefusal.judges.weights import ANSWERED, ANSWERED_BIAS, REFUSED, REFUSED_BIAS

REUTER_WEIGHT = 0.4
BY_HAND = ("asks_back", "stalls")
XSTEST = {"1_full_compliance": "complied", "2_full_refusal": "refused"}
REUTER = {"complied": "complied", "rejected": "refused"}

Row = tuple[str, str, float]
"""Response, label, weight."""


def in_development(key: str) -> bool:
    """Whether a prompt is of the half that weights may be fitted on."""
    return hashlib.md5(key.encode()).digest()[0] % 2 == 0


def rows(data: Path) -> list[Row]:
    """The labelled responses of the development half."""
    out: list[Row] = []
    for path in sorted((data / "xstest").glob("completions_*.csv")):
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                label = XSTEST.get(row["final_label"], "partial")
                out += [(row["completion"], label, 1.0)] * in_development(row["id"])
    reuter = json.loads((data / "reuter_chatgpt" / "all_hand_labeled.json").read_text())
    out += [
        (row["response"], REUTER[row["tone"]], REUTER_WEIGHT)
        for row in reuter
        if row["tone"] in REUTER and in_development(row["prompt"])
    ]
    return out


def main() -> None:
    """Print both heads, fitted and shipped."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    examples = rows(parser.parse_args().data)
    features = np.array([read(text, answer_start(text)).values for text, _, _ in examples])
    for name in BY_HAND:
        features[:, NAMES.index(name)] = 0
    labels = np.array([label for _, label, _ in examples])
    weights = np.array([weight for *_, weight in examples])
    for title, target, shipped, bias in (
        ("refused or partial", labels != "complied", REFUSED, REFUSED_BIAS),
        ("answered", labels != "refused", ANSWERED, ANSWERED_BIAS),
    ):
        fitted = LogisticRegression(C=1.0, max_iter=2000).fit(features, target, weights)
        print(f"{title}: {len(examples)} responses\n{'':16}{'fitted':>8}{'shipped':>9}")
        print(f"{'bias':16}{fitted.intercept_[0]:8.2f}{bias:9.2f}")
        for name, weight in zip(NAMES, fitted.coef_[0], strict=True):
            shown = "by hand" if name in BY_HAND else f"{weight:.2f}"
            print(f"{name:16}{shown:>8}{shipped[name]:9.2f}")


if __name__ == "__main__":
    main()
