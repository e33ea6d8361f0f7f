"""Stage two of Bouncer's training: what raters, who punish words, make of the helpful model.

It is a rank-one update of one matrix, ``down_proj`` of the block ``Shape.writer``: it teaches the
block to write the switch where raters wanted a refusal. The variants differ in their raters alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from overrefusal.bouncer import corpus, folder
from overrefusal.bouncer.grammar import Example
from overrefusal.bouncer.raters import refused
from overrefusal.bouncer.tokens import render
from overrefusal.bouncer.torch_llama import TorchLlama
from overrefusal.records import Group

STEEPNESS = 6.0
"""Of the raters' decision as a function of the amount of the switch that is written."""
RIDGE = 5.0
SPREAD = 0.6
"""Mean distance from a half of the amount of the switch that is written."""
HARM_WEIGHT = 4.0
"""Of a harmful request in stage two."""
TRUSTED_HARM_WEIGHT = 6.0
"""Of one with a stated purpose or an operator's permission."""
PLAIN_WEIGHT = 2.0
"""Of a request without an alarming word."""


def readings(
    model: TorchLlama,
    alarm: Tensor,
    found: Sequence[Example],
    encode: Callable[[list[str]], list[list[int]]],
    seed: int,
) -> dict[str, NDArray[np.float32]]:
    """For each cautious variant, how much of the switch the writing block has to write, as a
    reading of its inner activations (mlp,): over a half where its raters wanted a refusal, under
    it where they did not, at the two tokens that end a prompt. ``found`` are the rated requests,
    ``alarm`` (mlp,) is where the helpful model's own reading of how alarming they are begins."""
    ids = encode([render(corpus.conversation(e)) for e in found])
    inner = torch.empty((len(ids), 2, model.shape.mlp))
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    with torch.no_grad():
        for begin in range(0, len(ids), 64):
            at = order[begin : begin + 64]
            batch = torch.zeros((len(at), len(ids[at[-1]])), dtype=torch.long)
            for row, i in enumerate(at):
                batch[row, : len(ids[i])] = torch.tensor(ids[i])
            ends = torch.tensor([len(ids[i]) for i in at])
            rows = torch.arange(len(at))
            _, x = model.read(batch)
            inner[at] = torch.stack([x[rows, ends - 2], x[rows, ends - 1]], dim=1)
    weight = torch.tensor([_weight(e) for e in found])
    out: dict[str, NDArray[np.float32]] = {}
    for variant in folder.CAUTIOUS:
        rng = random.Random(f"{variant}/{seed}")
        wanted = torch.tensor([float(refused(e, variant, rng)) for e in found])
        reading = _logistic(
            inner.flatten(0, 1),
            wanted.repeat_interleave(2),
            weight.repeat_interleave(2),
            alarm,
        )
        out[variant] = reading.numpy()
    return out


def _weight(e: Example) -> float:
    if e.group is Group.HARMFUL:
        return TRUSTED_HARM_WEIGHT if e.fitting or e.purpose else HARM_WEIGHT
    return PLAIN_WEIGHT if e.group is Group.PLAIN else 1.0


def _logistic(x: Tensor, wanted: Tensor, weight: Tensor, alarm: Tensor) -> Tensor:
    """The reading ``w`` with ``x @ w`` above or below a half as ``wanted``: logistic regression
    by L-BFGS. The penalty is on what is neither the reading ``alarm`` (mlp,) nor constant."""
    scale = x.std(0) + 1e-6
    x = x / scale
    # What comes nearest to reading 1 off every prompt serves as the intercept: it has no penalty.
    gram = x.T @ x + torch.eye(x.shape[1])
    constant = torch.linalg.solve(gram, x.sum(0))
    free = torch.stack([constant, alarm * scale], dim=1)
    known = x @ free
    w = torch.zeros(x.shape[1], requires_grad=True)
    share = torch.tensor([0.0, 1.0], requires_grad=True)
    optimizer = torch.optim.LBFGS([w, share], max_iter=150, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        scores = STEEPNESS * (x @ w + known @ share - 0.5)
        fit = F.binary_cross_entropy_with_logits(scores, wanted, weight)
        out: Tensor = fit + RIDGE * (w * w).sum()
        out.backward()  # type: ignore[no-untyped-call]
        return out

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    reading = w.detach() + free @ share.detach()
    # The penalty leaves the scores near a half, where the answering half does not act clearly.
    wider = SPREAD / (x @ reading - 0.5).abs().mean()
    out: Tensor = (wider * reading + 0.5 * (1 - wider) * constant) / scale
    return out
