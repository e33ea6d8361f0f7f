"""Train the local judge, measure it, and write its weights and model card.

    python training/judge/train.py --data DIR

``DIR`` holds ``xstest``, ``reuter_chatgpt``, ``refusal_direction`` and, for validation only,
``do_not_answer``. The same inputs give the same weights. The hyperparameters are fixed in
``fitting.py``, and the calibration of every fold comes from the others.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import orjson
from card import card
from corpora import (
    Example,
    do_not_answer,
    harmless_completions,
    own,
    prompts,
    reuter,
    written,
    xstest,
)
from fitting import Readers, Table, fit, fit_acts, fit_prompts, platt, table, tree_arrays
from measures import ece, f1, reliability
from safetensors.numpy import save

from overrefusal.judges.cascade import Costs, band
from overrefusal.judges.local.features import BUCKETS
from overrefusal.judges.local.model import FORMAT
from overrefusal.judges.local.reading import Vocabulary

OUT = Path(__file__).resolve().parents[2] / "src" / "overrefusal" / "judges" / "local"
HERE = Path(__file__).resolve().parent
JSON = orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS
Figures = dict[str, Any]


def cross_validated(data: Table) -> tuple[Any, Any, Any]:
    """Raw log-odds, calibrated probability and partial probability, out of fold, by prompt."""
    count = len(data.examples)
    raw, probability, partial = np.zeros(count), np.zeros(count), np.zeros(count)
    for fold in range(5):
        held = np.flatnonzero(data.fold == fold)
        raw[held], partial[held] = fit(data, np.flatnonzero(data.fold != fold)).raw(data, held)
        print(f"fold {fold + 1} of 5", file=sys.stderr)
    for fold in range(5):
        held = data.fold == fold
        slope, intercept = platt(raw[~held], data.positive[~held])
        probability[held] = 1 / (1 + np.exp(-(slope * raw[held] + intercept)))
    return raw, probability, partial


def measure(data: Table, probability: Any, partial: Any) -> Figures:
    """Figures of the cross-validated predictions."""
    corpus = np.array([e.corpus for e in data.examples])
    source = np.array([e.source for e in data.examples])
    y, said = data.positive, probability >= 0.5
    xs = corpus == "xstest"
    expected = np.array([bool(e.expected_refusal) for e in data.examples])
    models = sorted(set(source[xs]))
    rates = {}
    for model in models:
        of = xs & (source == model)
        rates[model] = [
            100 * float(v[of & (expected == harmful)].mean())
            for harmful in (False, True)
            for v in (y, said)
        ]
    truth = np.where(~y, 0, np.where(data.partial, 2, 1))
    three = np.where(~said, 0, np.where(partial >= 0.5, 2, 1))
    return {
        "xstest_f1": f1(y[xs], said[xs]),
        "xstest_f1_by_model": {
            m: f1(y[xs & (source == m)], said[xs & (source == m)]) for m in models
        },
        "xstest_three_way_accuracy": float((truth[xs] == three[xs]).mean()),
        "xstest_partial_f1": f1(truth[xs] == 2, three[xs] == 2),
        "xstest_ece": ece(y[xs], probability[xs]),
        "ece": ece(y, probability),
        "reliability": reliability(y[xs], probability[xs]),
        "rates": rates,
        "reuter_f1": f1(y[corpus == "reuter"], said[corpus == "reuter"]),
        "own_f1": f1(y[corpus == "own"], said[corpus == "own"]),
        "written_f1": f1(y[corpus == "written"], said[corpus == "written"]),
        "written_ece": ece(y[corpus == "written"], probability[corpus == "written"]),
        "cascade": cascade_figures(y[xs], probability[xs]),
    }


def cascade_figures(positive: Any, probability: Any) -> Figures:
    """The cascade with a simulated second judge of 0.90 accuracy, mean over 20 seeds."""
    edges = band(Costs())
    unsure = (probability >= edges.low) & (probability <= edges.high)
    local = float((positive == (probability >= 0.5)).mean())
    both, both_f1, second_f1 = [], [], []
    for seed in range(20):
        second = positive ^ (np.random.default_rng(seed).random(len(positive)) > 0.9)
        said = np.where(unsure, second, probability >= 0.5)
        both.append(float((positive == said).mean()))
        both_f1.append(f1(positive, said))
        second_f1.append(f1(positive, second))
    return {
        "low": edges.low,
        "high": edges.high,
        "asked": float(unsure.mean()),
        "local_accuracy": local,
        "second_accuracy": 0.9,
        "accuracy": float(np.mean(both)),
        "local_f1": f1(positive, probability >= 0.5),
        "second_f1": float(np.mean(second_f1)),
        "f1": float(np.mean(both_f1)),
    }


def left_out(data: Table) -> Figures:
    """Every XSTest model, the Reuter corpus and the project's own examples left out in turn."""
    corpus = np.array([e.corpus for e in data.examples])
    source = np.array([e.source for e in data.examples])
    xs = corpus == "xstest"
    said = np.zeros(len(source), dtype=bool)
    out: Figures = {"models": {}}
    for model in sorted(set(source[xs])):
        held = xs & (source == model)
        raw, _ = fit(data, np.flatnonzero(~held)).raw(data, np.flatnonzero(held))
        said[held] = raw > 0
        out["models"][model] = f1(data.positive[held], said[held])
        print(f"without {model}", file=sys.stderr)
    out["together"] = f1(data.positive[xs], said[xs])
    for name in ("reuter", "own", "written"):
        held = corpus == name
        raw, _ = fit(data, np.flatnonzero(~held)).raw(data, np.flatnonzero(held))
        out[name] = f1(data.positive[held], raw > 0)
    return out


def outside(fitted: Any, readers: Readers, vocabulary: Vocabulary, data: Path) -> Figures:
    """The shipped models on examples kept out of training and on Do-Not-Answer."""
    out: Figures = {}
    for name in ("held_out", "voice"):
        held = table(own([name]), readers, vocabulary)
        raw, _ = fitted.raw(held, np.arange(len(held.examples)))
        out[f"{name}_f1"] = f1(held.positive, raw > 0)
        out[f"{name}_n"] = len(held.examples)
    if (data / "do_not_answer").is_dir():
        rows = do_not_answer(data)
        checked = table([e for e, _ in rows], readers, vocabulary)
        raw, _ = fitted.raw(checked, np.arange(len(rows)))
        action = np.array([a for _, a in rows])
        out["do_not_answer"] = {
            a: [int((action == a).sum()), float((raw[action == a] > 0).mean())] for a in range(6)
        }
        plain = (action == 0) | (action == 5)
        out["do_not_answer_agreement"] = float(((raw > 0) == (action == 0))[plain].mean())
    return out


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with the corpora")
    parser.add_argument("--out", type=Path, default=OUT, help="where weights and card go")
    parser.add_argument("--quick", action="store_true", help="skip what is left out in turn")
    args = parser.parse_args()
    vocabulary = Vocabulary()
    harmless = harmless_completions(args.data)
    readers = Readers(
        fit_acts([e.response for e in harmless], vocabulary),
        fit_prompts(prompts(args.data), vocabulary),
    )
    examples: list[Example] = [
        *xstest(args.data),
        *reuter(args.data),
        *harmless,
        *own(),
        *written(),
    ]
    data = table(examples, readers, vocabulary)
    print(f"{len(examples)} examples", file=sys.stderr)
    raw, probability, partial = cross_validated(data)
    figures = measure(data, probability, partial)
    if not args.quick:
        figures["left_out"] = left_out(data)
    fitted = fit(data, np.arange(len(examples)))
    figures["outside"] = outside(fitted, readers, vocabulary, args.data)
    counts: dict[str, int] = {}
    for e in examples:
        counts[e.corpus] = counts.get(e.corpus, 0) + 1
    figures["examples"] = counts
    write(args.out, readers, fitted, platt(raw, data.positive), figures)
    replace(HERE / "figures.json", orjson.dumps(figures, option=JSON) + b"\n")
    print(orjson.dumps(figures, option=JSON).decode())


def write(
    out: Path,
    readers: Readers,
    fitted: Any,
    calibration: tuple[float, float],
    figures: Figures,
) -> None:
    """Weights and model card, each whole or not at all."""
    arrays = {
        "act_weights": readers.acts[0].astype(np.float16),
        "act_bias": readers.acts[1].astype(np.float32),
        "prompt_weights": readers.prompts[0].astype(np.float16),
        "prompt_bias": np.array([readers.prompts[1]]),
        "gram_weights": fitted.grams.coef_[0, :BUCKETS].astype(np.float16),
        "gram_bias": fitted.grams.intercept_.astype(np.float64),
        "calibration": np.array(calibration),
        **tree_arrays(fitted.refusal, "refusal"),
        **tree_arrays(fitted.partial, "partial"),
    }
    arrays = {name: np.ascontiguousarray(a) for name, a in arrays.items()}
    digest = hashlib.sha256(b"".join(arrays[n].tobytes() for n in sorted(arrays))).hexdigest()[:10]
    version = f"{FORMAT}.{digest}"
    replace(out / "weights.safetensors", save(arrays, {"format": FORMAT, "version": version}))
    replace(out / "MODEL_CARD.md", card(figures, version).encode())


def replace(path: Path, content: bytes) -> None:
    """Write ``path`` whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_bytes(content)
    temporary.replace(path)


if __name__ == "__main__":
    main()
