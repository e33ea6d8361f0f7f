"""Which of the candidate directions mediates refusal (Arditi et al., arXiv:2406.11717, C).

Of every layer and position, the one whose ablation leaves the lowest refusal score on harmful
prompts (bypass), given that its ablation hardly changes what the model says to plain ones (KL),
that its addition makes it refuse these (induction), and that its layer is not among the last.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from overrefusal.activations.batches import (
    TOKENS_CPU,
    TOKENS_GPU,
    Batch,
    all_next_logits,
    batches,
    next_logits,
)
from overrefusal.activations.edit import Addition, editing
from overrefusal.activations.record import reading
from overrefusal.activations.resume import resuming
from overrefusal.activations.structure import Structure, device_of
from overrefusal.directions.direction import Direction, ablations
from overrefusal.directions.score import kl_divergence, refusal_score
from overrefusal.errors import OverrefusalError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a candidate must keep to."""

    max_kl: float = 0.1
    """Nats, mean over plain prompts."""
    min_induction: float = 0.0
    """Refusal score, mean over plain prompts; the candidate's must be above."""
    max_depth: float = 0.8
    """Layers from this share of all layers on are left out."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One layer and position with its scores; ``None`` where they were not needed."""

    layer: int
    position: int
    """Index into the positions."""
    bypass: float | None = None
    """Mean refusal score of harmful prompts with the direction ablated: lower is better."""
    bypass_error: float | None = None
    """Its standard error over the prompts."""
    induction: float | None = None
    """Mean refusal score of plain prompts with the direction added at its layer."""
    kl: float | None = None
    """Mean KL divergence, in nats, of the first answer token to plain prompts under ablation."""
    cosmic: float | None = None
    """The score of ``cosmic.select_cosmic``: higher is better."""
    rejected: str | None = None
    """``layer``, ``kl`` or ``induction``: the limit it does not keep."""

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def candidates_of(
    harmful: Tensor, plain: Tensor, *, affine: bool
) -> dict[tuple[int, int], Direction]:
    """The directions of every layer and position at which the means differ.

    ``harmful`` and ``plain`` are means (layers + 1, positions, width); positions are named by
    their index. The last layer is behind the last block, where nothing reads the stream but the
    head, so it gives no candidate.
    """
    found = {}
    for layer in range(len(plain) - 1):
        for position in range(plain.shape[1]):
            vector = (harmful - plain)[layer, position]
            if bool(vector.any()):
                found[layer, position] = Direction(
                    vector.float(),
                    layer,
                    str(position),
                    plain[:, position],
                    harmful[:, position],
                    affine,
                )
    return found


def select(
    model: nn.Module,
    structure: Structure,
    directions: Mapping[tuple[int, int], Direction],
    harmful: Sequence[Sequence[int]],
    plain: Sequence[Sequence[int]],
    tokens: Sequence[int],
    limits: Limits = Limits(),
    *,
    every_score: bool = False,
) -> tuple[Candidate, tuple[Candidate, ...]]:
    """The best of ``directions``, and all of them in the order of layer and position.

    ``harmful`` and ``plain`` are validation prompts of token ids.

    Only what can decide is computed: the induction scores first, as they need no block before the
    candidate's own; of those that keep that limit the bypass scores; and KL from the lowest of
    these upwards until a candidate keeps that limit too. Several candidates share a batch.
    ``every_score`` computes all, which selects the same.

    Raises ``OverrefusalError`` with how many candidates each limit took where none is left.
    """
    found = {key: Candidate(*key) for key in directions}
    for key in found:
        if key[0] >= limits.max_depth * len(structure):
            found[key] = replace(found[key], rejected="layer")
    keys = [k for k in found if every_score or found[k].rejected is None]
    inductions, plain_logits = _induction(
        model, structure, [directions[k] for k in keys], plain, tokens
    )
    for key, induction in zip(keys, inductions, strict=True):
        rejected = found[key].rejected
        if rejected is None and not induction > limits.min_induction:
            rejected = "induction"
        found[key] = replace(found[key], induction=induction, rejected=rejected)
    keys = [k for k in keys if every_score or found[k].rejected is None]
    scores = _bypass(model, structure, [directions[k] for k in keys], harmful, tokens)
    for key, (bypass, error) in zip(keys, scores, strict=True):
        found[key] = replace(found[key], bypass=bypass, bypass_error=error)
    best: Candidate | None = None
    for key in sorted(keys, key=lambda k: (found[k].bypass, k)):
        if best is not None and not every_score:
            break
        with editing(structure, directions[key].ablation()):
            kl = float(kl_divergence(plain_logits, gathered(model, plain)).mean())
        rejected = found[key].rejected or (None if kl <= limits.max_kl else "kl")
        found[key] = replace(found[key], kl=kl, rejected=rejected)
        if rejected is None and best is None:
            best = found[key]
    if best is None:
        raise OverrefusalError(_none_left(found.values(), limits, len(structure)))
    return best, tuple(found[k] for k in sorted(found))


def _none_left(found: Iterable[Candidate], limits: Limits, layers: int) -> str:
    rejected = Counter(c.rejected for c in found)
    return (
        f"none of {rejected.total()} candidates is left: {rejected['layer']} taken by the layer "
        f"limit (below {limits.max_depth:g} of {layers} layers), {rejected['kl']} by KL <= "
        f"{limits.max_kl:g}, {rejected['induction']} by induction > {limits.min_induction:g}; "
        "loosen a limit, or ablate to where plain prompts lie and not to zero"
    )


def _bypass(
    model: nn.Module,
    structure: Structure,
    directions: Sequence[Direction],
    harmful: Sequence[Sequence[int]],
    tokens: Sequence[int],
) -> list[tuple[float, float]]:
    """The bypass scores with their standard errors.

    Each row of a batch has its own candidate ablated.
    """
    n = len(harmful)
    prompts = [prompt for _ in directions for prompt in harmful]
    sums = torch.zeros(2, len(directions), dtype=torch.float64)
    with torch.inference_mode():
        for batch in batches(prompts, device_of(model)):
            which = torch.tensor(batch.rows) // n
            with editing(structure, ablations(directions, which)):
                scores = refusal_score(next_logits(model, batch), tokens)
            sums.index_add_(1, which, torch.stack([scores, scores.square()]).cpu())
    means, squares = sums / n
    errors = ((squares - means.square()).clamp(min=0) / max(1, n - 1)).sqrt()
    return list(zip(means.tolist(), errors.tolist(), strict=True))


def _induction(
    model: nn.Module,
    structure: Structure,
    directions: Sequence[Direction],
    plain: Sequence[Sequence[int]],
    tokens: Sequence[int],
) -> tuple[list[float], Tensor]:
    """The induction scores, and the plain prompts' logits unedited, (prompts, vocabulary).

    An addition leaves the stream before its layer as it was, so each batch of prompts runs through
    the first blocks once and goes on from there for every layer's candidates together.
    """
    by_layer: dict[int, list[int]] = {}
    for i, direction in enumerate(directions):
        by_layer.setdefault(direction.layer, []).append(i)
    most = max((len(each) for each in by_layer.values()), default=1)
    device = device_of(model)
    sums = torch.zeros(len(directions), dtype=torch.float64)
    before = torch.empty(0)
    budget = (TOKENS_CPU if device.type == "cpu" else TOKENS_GPU) // most
    with torch.inference_mode():
        for batch in batches(plain, device, budget):
            streams: list[Tensor] = []
            with reading(structure, streams.append):
                logits = next_logits(model, batch)
            if not len(before):
                before = torch.empty(len(plain), logits.shape[-1], dtype=logits.dtype)
            before[batch.rows] = logits.cpu()
            for layer, which in by_layer.items():
                n, rows = len(which), len(batch.rows)
                repeated = Batch(batch.rows * n, batch.ids.repeat(n, 1), batch.lengths.repeat(n))
                vectors = torch.stack([directions[i].vector for i in which])
                added = Addition(vectors.repeat_interleave(rows, 0), layer)
                with (
                    resuming(structure, layer, streams[layer].repeat(n, 1, 1)),
                    editing(structure, added),
                ):
                    scores = refusal_score(next_logits(model, repeated), tokens)
                sums[which] += scores.cpu().reshape(n, rows).sum(1)
    return [float(total) / len(plain) for total in sums], before


def gathered(model: nn.Module, prompts: Sequence[Sequence[int]]) -> Tensor:
    """The next-token logits of all prompts, (prompts, vocabulary)."""
    out = torch.empty(0)
    for rows, logits in all_next_logits(model, prompts):
        if not len(out):
            out = torch.empty(len(prompts), logits.shape[-1], dtype=logits.dtype)
        out[rows] = logits.cpu()
    return out
