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

from overrefusal.activations.batches import TOKENS, all_next_logits, batches, next_logits
from overrefusal.activations.edit import editing
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


@dataclass(frozen=True, slots=True)
class Selection:
    """The selected candidate, and all of them in the order of layer and position."""

    best: Candidate
    candidates: tuple[Candidate, ...]
    baseline_harmful: float
    """Mean refusal score of the harmful prompts, unedited."""
    baseline_plain: float


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
) -> Selection:
    """The best of ``directions``, by layer and position, on validation prompts of token ids.

    Only what can decide is computed: the bypass scores first, all prompts and several candidates
    in one batch, then KL and induction from the lowest bypass score upwards until a candidate
    keeps both limits. ``every_score`` computes all, which selects the same.

    Raises ``OverrefusalError`` with how many candidates each limit took where none is left.
    """
    plain_logits = gathered(model, plain)
    found = {key: Candidate(*key) for key in directions}
    too_deep = {k for k in found if k[0] >= limits.max_depth * len(structure)}
    for key in too_deep:
        found[key] = replace(found[key], rejected="layer")
    wanted = [k for k in found if every_score or k not in too_deep]
    scores = _bypass(model, structure, [directions[k] for k in wanted], harmful, tokens)
    for key, (bypass, error) in zip(wanted, scores, strict=True):
        found[key] = replace(found[key], bypass=bypass, bypass_error=error)
    best: Candidate | None = None
    for key in sorted(wanted, key=lambda k: (found[k].bypass, k)):
        if best is not None and not every_score:
            break
        scored = _on_plain(
            model, structure, directions[key], found[key], plain, plain_logits, tokens
        )
        found[key] = scored if scored.rejected else replace(scored, rejected=_limit(scored, limits))
        if found[key].rejected is None and best is None:
            best = found[key]
    if best is None:
        raise OverrefusalError(_none_left(found.values(), limits, len(structure)))
    return Selection(
        best,
        tuple(found[k] for k in sorted(found)),
        float(refusal_score(gathered(model, harmful), tokens).mean()),
        float(refusal_score(plain_logits, tokens).mean()),
    )


def _limit(candidate: Candidate, limits: Limits) -> str | None:
    """The limit that a candidate does not keep; a score that is no number keeps none."""
    if candidate.kl is None or not candidate.kl <= limits.max_kl:
        return "kl"
    if candidate.induction is None or not candidate.induction > limits.min_induction:
        return "induction"
    return None


def _none_left(found: Iterable[Candidate], limits: Limits, layers: int) -> str:
    rejected = Counter(c.rejected for c in found)
    return (
        f"none of {rejected.total()} candidates is left: {rejected['layer']} taken by the layer "
        f"limit (below {limits.max_depth:g} of {layers} layers), {rejected['kl']} by KL <= "
        f"{limits.max_kl:g}, {rejected['induction']} by induction > {limits.min_induction:g}"
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
        for batch in batches(prompts, device_of(model), TOKENS):
            which = torch.tensor(batch.rows) // n
            with editing(structure, ablations(directions, which)):
                scores = refusal_score(next_logits(model, batch), tokens)
            sums.index_add_(1, which, torch.stack([scores, scores.square()]).cpu())
    means, squares = sums / n
    errors = ((squares - means.square()).clamp(min=0) / max(1, n - 1)).sqrt()
    return list(zip(means.tolist(), errors.tolist(), strict=True))


def _on_plain(
    model: nn.Module,
    structure: Structure,
    direction: Direction,
    candidate: Candidate,
    plain: Sequence[Sequence[int]],
    before: Tensor,
    tokens: Sequence[int],
) -> Candidate:
    """The candidate with its KL and induction scores."""
    with editing(structure, direction.ablation()):
        kl = float(kl_divergence(before, gathered(model, plain)).mean())
    with editing(structure, direction.addition()):
        induction = float(refusal_score(gathered(model, plain), tokens).mean())
    return replace(candidate, kl=kl, induction=induction)


def gathered(model: nn.Module, prompts: Sequence[Sequence[int]]) -> Tensor:
    """The next-token logits of all prompts, (prompts, vocabulary)."""
    out = torch.empty(0)
    for rows, logits in all_next_logits(model, prompts):
        if not len(out):
            out = torch.empty(len(prompts), logits.shape[-1], dtype=logits.dtype)
        out[rows] = logits.cpu()
    return out
