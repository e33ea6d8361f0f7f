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
    train.add_argument("--helpful-rows", type=int, help="examples of stage one")
    train.add_argument("--cautious-rows", type=int, help="examples of stage two")
    train.add_argument("--variant-rows", type=int, help="more examples for lenient and strict")
    train.add_argument("--threads", type=int, default=2)
    export = commands.add_parser("export", help="write a variant as a transformers folder")
    export.add_argument("variant")
    export.add_argument("out", type=Path)
    given = parser.parse_args(arguments)
    try:
        if given.command == "export":
            from overrefusal.bouncer import folder

            print(folder.export(given.variant.removeprefix("bouncer:"), given.out))
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
        run(given.out, Plan(**{k: v for k, v in vars(given).items() if k in names and v is not None}))
    except OverrefusalError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
