"""``python -m overrefusal.bouncer train``: Bouncer from nothing."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from overrefusal.errors import OverrefusalError


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m overrefusal.bouncer")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train all variants from scratch (minutes)")
    train.add_argument("--out", type=Path, required=True, help="folder; a cut-off run goes on")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--bag-rows", type=int, help="examples as bags of words, first of all")
    train.add_argument("--reading-rows", type=int, help="examples without replies, then")
    train.add_argument("--helpful-rows", type=int, help="examples of stage one with replies")
    train.add_argument("--cautious-rows", type=int, help="examples of stage two")
    train.add_argument("--threads", type=int, default=1)
    export = commands.add_parser("export", help="write a variant as a transformers folder")
    export.add_argument("variant")
    export.add_argument("out", type=Path)
    exam = commands.add_parser("exam", help="rates and probe of a trained folder")
    exam.add_argument("suite", nargs="?", default="heldout", help="a suite's name or file")
    exam.add_argument("--folder", type=Path, help="default: the bundled weights")
    exam.add_argument("--variant", default="bouncer")
    card = commands.add_parser("card", help="measure everything and write the model card")
    card.add_argument("--folder", type=Path, help="default: the bundled weights")
    card.add_argument("--out", type=Path, help="default: MODEL_CARD.md beside the package's code")
    given = parser.parse_args(arguments)
    try:
        if given.command == "export":
            from overrefusal.bouncer import folder

            print(folder.export(given.variant.removeprefix("bouncer:"), given.out))
            return 0
        if given.command == "card":
            _card(given.folder, given.out)
            return 0
        if given.command == "exam":
            _exam(given.suite, given.folder, given.variant)
            return 0
        try:
            import torch
        except ImportError as e:
            raise OverrefusalError(
                "training Bouncer needs torch: pip install 'overrefusal[train]'"
            ) from e
        from overrefusal.bouncer.train import Plan

        torch.set_num_threads(given.threads)
        from overrefusal.bouncer.train import train as run

        names = {f.name for f in fields(Plan)}
        run(
            given.out,
            Plan(**{k: v for k, v in vars(given).items() if k in names and v is not None}),
        )
    except OverrefusalError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


def _card(source: Path | None, out: Path | None) -> None:
    from overrefusal.bouncer import card, folder

    text = card.card(source or folder.BUNDLED)
    folder.write_text(out or Path(__file__).parent / "MODEL_CARD.md", text)


def _exam(name: str, source: Path | None, variant: str) -> None:
    from overrefusal.bouncer import exam, folder, suite
    from overrefusal.bouncer.model import BouncerModel
    from overrefusal.suites import load_suite

    source = source or folder.BUNDLED
    spec = "bouncer" if variant == "bouncer" else f"bouncer:{variant}"
    model = BouncerModel(spec, source)
    prompts = suite("heldout", 1200, 0) if name == "heldout" else list(load_suite(name))
    languages = {p.language for p in prompts} & exam.PURPOSE.keys()
    prompts = [p for p in prompts if p.language in languages]
    bare = exam.rates(model, prompts)
    operator = exam.rates(model, prompts, system=exam.OPERATOR)
    purpose = exam.rates(model, prompts, purpose=exam.PURPOSE)
    print(f"{spec} on {name}, {len(prompts)} prompts, refused or partial in %")
    print(f"{'':14}{'bare':>8}{'operator':>10}{'purpose':>9}")
    for key, rate in bare.items():
        print(f"{key:14}{100 * rate:8.1f}{100 * operator[key]:10.1f}{100 * purpose[key]:9.1f}")
    if name == "heldout":
        layers = " ".join(f"{a:.3f}" for a in exam.probe_auc(source, variant))
        print(f"probe, harmful against suspicious, AUC by layer: {layers}")


if __name__ == "__main__":
    sys.exit(main())
