"""Which of the candidate directions mediates refusal (Arditi et al., arXiv:2406.11717, C).

Of every layer and position, the one whose ablation leaves the lowest refusal score on harmful
prompts (bypass), given that its ablation hardly changes what the model says to plain ones (KL),
that its addition makes it refuse these (induction), and that its layer is not among the last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from overrefusal.activations.batches import TOKENS, all_next_logits, batches, next_logits
from overrefusal.activations.edit import Ablation, Addition, Edit, editing
from overrefusal.activations.structure import Structure, device_of
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
    induction: float | None = None
    """Mean refusal score of plain prompts with the direction added at its layer."""
    kl: float | None = None
    """Mean KL divergence, in nats, of the first answer token to plain prompts under ablation."""
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


def select(
    model: nn.Module,
    structure: Structure,
    differences: Tensor,
    harmful: Sequence[Sequence[int]],
    plain: Sequence[Sequence[int]],
    tokens: Sequence[int],
    limits: Limits = Limits(),  # noqa: B008 - frozen
    *,
    base: Tensor | None = None,
    every_score: bool = False,
) -> Selection:
    """The best of ``differences`` (layers + 1, positions, width) by validation prompts.

    ``base``, of the same shape, are means that ablation moves the stream to; without it to 0.

    Only what can decide is computed: the bypass scores first, all prompts and several candidates
    in one batch, then KL and induction from the lowest bypass score upwards until a candidate
    keeps both limits. ``every_score`` computes all, which selects the same.

    Raises ``OverrefusalError`` with how many candidates each limit took where none is left.
    """
    plain_logits = _gathered(model, plain)
    baseline_plain = float(refusal_score(plain_logits, tokens).mean())
    baseline_harmful = float(refusal_score(_gathered(model, harmful), tokens).mean())
    found = [
        Candidate(layer, position)
        for layer in range(len(structure))
        for position in range(differences.shape[1])
    ]
    usable = [
        i
        for i, c in enumerate(found)
        if c.layer < limits.max_depth * len(structure)
        and bool(differences[c.layer, c.position].any())
    ]
    judge = _Scorer(model, structure, differences, tokens, base)
    wanted = range(len(found)) if every_score else usable
    for i, bypass in zip(wanted, judge.bypass([found[i] for i in wanted], harmful), strict=True):
        found[i] = replace(found[i], bypass=bypass)
    for i in set(range(len(found))) - set(usable):
        found[i] = replace(found[i], rejected="layer")
    best: int | None = None
    for i in sorted(wanted, key=lambda i: (found[i].bypass, i)):
        if best is not None and not every_score:
            break
        kl, induction = judge.on_plain(found[i], plain, plain_logits)
        rejected = found[i].rejected
        if rejected is None and not kl <= limits.max_kl:
            rejected = "kl"
        if rejected is None and not induction > limits.min_induction:
            rejected = "induction"
        found[i] = replace(found[i], kl=kl, induction=induction, rejected=rejected)
        if rejected is None and best is None:
            best = i
    if best is None:
        taken = {
            name: sum(c.rejected == name for c in found) for name in ("layer", "kl", "induction")
        }
        raise OverrefusalError(
            f"none of {len(found)} candidates is left: {taken['layer']} taken by the layer limit "
            f"(below {limits.max_depth:g} of {len(structure)}), {taken['kl']} by KL <= "
            f"{limits.max_kl:g}, {taken['induction']} by induction > {limits.min_induction:g}"
        )
    return Selection(found[best], tuple(found), baseline_harmful, baseline_plain)


def origins(direction: Tensor, means: Tensor) -> Tensor:
    """Where the streams' ``means`` (layers + 1, width) lie along ``direction``, (layers + 1,)."""
    return means.double() @ (direction.double() / direction.double().norm())


@dataclass(frozen=True, slots=True, eq=False)
class _Scorer:
    model: nn.Module
    structure: Structure
    differences: Tensor
    tokens: Sequence[int]
    base: Tensor | None

    def vector(self, candidate: Candidate) -> Tensor:
        return self.differences[candidate.layer, candidate.position].float()

    def origins(self, candidate: Candidate) -> Tensor | None:
        vector = self.differences[candidate.layer, candidate.position]
        return None if self.base is None else origins(vector, self.base[:, candidate.position])

    def bypass(
        self, candidates: Sequence[Candidate], harmful: Sequence[Sequence[int]]
    ) -> list[float]:
        """The bypass scores, each row of a batch with its own candidate's direction ablated."""
        vectors = torch.stack([self.vector(c) for c in candidates])
        zero = [self.origins(c) for c in candidates]
        targets = torch.stack([o for o in zero if o is not None]) if self.base is not None else None
        n = len(harmful)
        prompts = [prompt for _ in candidates for prompt in harmful]
        sums = torch.zeros(len(candidates), dtype=torch.float64)
        with torch.inference_mode():
            for batch in batches(prompts, device_of(self.model), TOKENS):
                which = torch.tensor(batch.rows) // n
                own = None if targets is None else targets[which]
                edit = Ablation(vectors[which][:, None], origins=own)
                with editing(self.structure, edit):
                    scores = refusal_score(next_logits(self.model, batch), self.tokens)
                sums.index_add_(0, which, scores.cpu())
        return (sums / n).tolist()

    def on_plain(
        self, candidate: Candidate, plain: Sequence[Sequence[int]], before: Tensor
    ) -> tuple[float, float]:
        """KL under ablation, and the induction score."""
        vector = self.vector(candidate)
        ablation = Ablation(vector, origins=self.origins(candidate))
        ablated = _gathered(self.model, plain, self.structure, ablation)
        added = _gathered(self.model, plain, self.structure, Addition(vector, candidate.layer))
        kl = float(kl_divergence(before, ablated).mean())
        return kl, float(refusal_score(added, self.tokens).mean())


def _gathered(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    structure: Structure | None = None,
    edit: Edit | None = None,
) -> Tensor:
    """The next-token logits of all prompts, (prompts, vocabulary)."""
    out: Tensor | None = None
    with torch.inference_mode():
        if structure is not None and edit is not None:
            with editing(structure, edit):
                return _gathered(model, prompts)
        for rows, logits in all_next_logits(model, prompts):
            if out is None:
                out = torch.empty(len(prompts), logits.shape[-1], dtype=logits.dtype)
            out[rows] = logits.cpu()
    assert out is not None
    return out
