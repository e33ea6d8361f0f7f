"""Extracting and selecting a refusal direction: this package beside the published pipeline.

    python benchmarks/direction_extraction.py [--model bouncer]

The other side is a straightforward implementation, written here, of the pipeline of Arditi et al.
(arXiv:2406.11717): batches of 32 as the prompts come, padded on the left; activations kept and
averaged at the end; for each layer and position a full forward pass of the validation prompts for
each of the three scores, all logits computed. Both see the same model, prompts, refusal tokens,
positions, limits and ablation to zero. Each measurement is a process of its own: memory is how far
its highest point grows in the first pass, seconds are the best of the passes after it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

VALIDATION = 32
BATCH = 32
MAX_KL = 0.3
"""Looser than the published 0.1, so that the bundled model has a candidate that keeps it."""
Prompts = list[list[int]]


def published(
    subject: Any, train: tuple[Prompts, Prompts], held: tuple[Prompts, Prompts], tokens: list[int]
) -> tuple[int, int]:
    """Layer and position by the published pipeline."""
    import torch

    from overrefusal.directions.score import kl_divergence, refusal_score

    model, positions = subject.model, [p.offset for p in subject.positions]
    blocks = subject.structure.blocks

    def padded(prompts: Prompts) -> Iterator[dict[str, Any]]:
        for begin in range(0, len(prompts), BATCH):
            batch = prompts[begin : begin + BATCH]
            width = max(map(len, batch))
            ids = torch.zeros(len(batch), width, dtype=torch.long)
            mask = torch.zeros_like(ids)
            for row, prompt in enumerate(batch):
                ids[row, width - len(prompt) :] = torch.tensor(prompt)
                mask[row, width - len(prompt) :] = 1
            yield {"input_ids": ids, "attention_mask": mask}

    def logits(prompts: Prompts) -> Any:
        return torch.cat([model(**batch).logits[:, -1] for batch in padded(prompts)])

    def activations(prompts: Prompts) -> Any:
        kept: list[list[Any]] = [[] for _ in blocks]
        handles = [
            block.module.register_forward_pre_hook(
                lambda _, args, layer=layer: kept[layer].append(args[0][:, positions].double())
            )
            for layer, block in enumerate(blocks)
        ]
        logits(prompts)
        for handle in handles:
            handle.remove()
        return torch.stack([torch.cat(layer) for layer in kept]).mean(1)

    def ablating(direction: Any) -> list[Any]:
        unit = direction / (direction.norm() + 1e-8)

        def taken_out(x: Any) -> Any:
            return x - (x @ unit)[..., None] * unit

        def before(_: Any, args: Any) -> Any:
            return (taken_out(args[0]), *args[1:])

        def after(_: Any, args: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return (taken_out(output[0]), *output[1:])
            return taken_out(output)

        handles = [block.module.register_forward_pre_hook(before) for block in blocks]
        for block in blocks:
            handles += [part.register_forward_hook(after) for part in (block.attention, block.mlp)]
        return handles

    def hooked(handles: list[Any], prompts: Prompts) -> Any:
        found = logits(prompts)
        for handle in handles:
            handle.remove()
        return found

    with torch.inference_mode():
        kept = []
        for prompts, sign in zip((*train, *held), (1, -1, 1, -1), strict=True):
            scores = refusal_score(logits(prompts), tokens) * sign
            kept.append([p for p, s in zip(prompts, scores.tolist(), strict=True) if s > 0])
        harmful, plain, harmful_held, plain_held = kept
        differences = activations(harmful) - activations(plain)
        base = logits(plain_held)
        best, lowest = (-1, -1), float("inf")
        for position in range(len(positions)):
            for layer in range(len(blocks)):
                vector = differences[layer, position].float()
                kl = kl_divergence(base, hooked(ablating(vector), plain_held)).mean()
                bypass = refusal_score(hooked(ablating(vector), harmful_held), tokens).mean()
                add = blocks[layer].module.register_forward_pre_hook(
                    lambda _, args, vector=vector: (args[0] + vector, *args[1:])
                )
                induction = refusal_score(hooked([add], plain_held), tokens).mean()
                usable = layer < 0.8 * len(blocks) and kl <= MAX_KL and induction > 0
                if usable and bypass < lowest:
                    best, lowest = (layer, position), float(bypass)
    return best


def this_package(
    subject: Any, train: tuple[Prompts, Prompts], held: tuple[Prompts, Prompts], tokens: list[int]
) -> tuple[int, int]:
    """Layer and position by ``overrefusal.directions``."""
    import torch

    from overrefusal.activations.batches import all_next_logits
    from overrefusal.activations.record import record_moments
    from overrefusal.directions.score import refusal_score
    from overrefusal.directions.select import Limits, candidates_of, select

    harmful, plain = train
    sign = torch.tensor([1] * len(harmful) + [-1] * len(plain))
    moments = record_moments(
        subject.model,
        subject.structure,
        harmful + plain,
        subject.positions,
        {
            "harmful": range(len(harmful)),
            "plain": range(len(harmful), len(harmful) + len(plain)),
        },
        accept=lambda rows, logits: refusal_score(logits, tokens) * sign[rows] > 0,
    )
    kept = []
    for prompts, side in zip(held, (1, -1), strict=True):
        good = sorted(
            row
            for rows, logits in all_next_logits(subject.model, prompts)
            for row, score in zip(
                rows, (refusal_score(logits, tokens) * side).tolist(), strict=True
            )
            if score > 0
        )
        kept.append([prompts[i] for i in good])
    directions = candidates_of(moments.mean("harmful"), moments.mean("plain"), affine=False)
    best, _ = select(
        subject.model, subject.structure, directions, *kept, tokens, Limits(max_kl=MAX_KL)
    )
    return best.layer, best.position


SIDES: dict[str, Callable[..., tuple[int, int]]] = {
    "published pipeline": published,
    "overrefusal": this_package,
}


def measure(side: str, name: str, n: int, repeats: int) -> dict[str, Any]:
    """One side in this process: seconds, growth of memory, and what it selected."""
    import torch

    from overrefusal.activations.batches import all_next_logits
    from overrefusal.bouncer import suite
    from overrefusal.directions.refusal_tokens import find_refusal_tokens
    from overrefusal.directions.subject import open_subject
    from overrefusal.records import Group

    torch.set_num_threads(1)
    subject = open_subject(name)
    prompts = suite("train", 12 * (n + VALIDATION) + 600, 0)
    by_group = {
        group: [subject.ids(p) for p in prompts if p.group is group and p.language == "en"]
        for group in (Group.HARMFUL, Group.PLAIN)
    }
    harmful, plain = (by_group[g][: n + VALIDATION] for g in (Group.HARMFUL, Group.PLAIN))
    few = harmful[:64] + plain[:64]
    # The labels stand in for a judge's verdicts, for both sides alike.
    refused = torch.arange(128) < 64
    tokens = list(
        find_refusal_tokens(
            (logits, refused[rows]) for rows, logits in all_next_logits(subject.model, few)
        ).ids
    )
    train = harmful[VALIDATION:], plain[VALIDATION:]
    held = harmful[:VALIDATION], plain[:VALIDATION]
    run = SIDES[side]
    before = _peak()
    run(subject, train, held, tokens)
    grown = _peak() - before
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        selected = run(subject, train, held, tokens)
        times.append(time.perf_counter() - started)
    return {
        "seconds": min(times),
        "megabytes": grown / 1e6,
        "selected": selected,
        "position": subject.positions[selected[1]].name,
        "candidates": subject.layers * len(subject.positions),
        "n": [len(part) for part in train],
    }


def _peak() -> int:
    """The process's highest resident memory, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _apart(side: str, name: str, n: int, repeats: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--model", name, "--repeats", str(repeats)]
    done = subprocess.run(
        [*command, "--side", side, "--n", str(n)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="bouncer")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 1024])
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--n", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(measure(given.side, given.model, given.n, given.repeats)))
        return
    import torch
    import transformers

    print(
        f"{given.model}, {platform.machine()}, one thread, torch {torch.__version__}, "
        f"transformers {transformers.__version__}; {VALIDATION} + {VALIDATION} validation prompts, "
        f"KL <= {MAX_KL:g}"
    )
    print(f"{'':20}{'prompts':>9}{'seconds':>9}{'MB more':>9}{'selected':>20}{'faster':>8}")
    for n in given.sizes:
        found = {side: _apart(side, given.model, n, given.repeats) for side in SIDES}
        slow = found["published pipeline"]["seconds"]
        for side, one in found.items():
            selected = f"layer {one['selected'][0]}, {one['position']}"
            print(
                f"{side:20}{sum(one['n']):>9}{one['seconds']:>9.2f}{one['megabytes']:>9.1f}"
                f"{selected:>20}{slow / one['seconds']:>7.1f}x"
            )
        assert len({tuple(one["selected"]) for one in found.values()}) == 1, (
            "not the same direction"
        )


if __name__ == "__main__":
    main()
