"""A direction with all that its edits need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from overrefusal.activations.edit import Ablation, Addition, Edit


@dataclass(frozen=True, slots=True, eq=False)
class Direction:
    """The difference of two groups' mean streams at one layer and position.

    Its edits are the published ones (Arditi et al., arXiv:2406.11717), ablation to 0 and addition
    at its own layer. Where ``affine``, ablation moves the stream of every layer not to 0 but to
    where the plain prompts' mean lies along the direction (Marshall et al., arXiv:2411.09003).
    The two differ where plain prompts lie far from 0, as far on the other side as harmful ones.
    """

    vector: Tensor
    """(width,), float32; its norm is the distance of the means."""
    layer: int
    position: str
    plain: Tensor
    """The plain prompts' mean stream at this position, (layers + 1, width), float64."""
    harmful: Tensor
    affine: bool = False

    @property
    def unit(self) -> Tensor:
        """The vector over its norm, (width,), float64."""
        exact: Tensor = self.vector.double()
        return exact.div(exact.norm())

    @property
    def to_plain(self) -> Tensor:
        """Where plain prompts lie along the direction, (layers + 1,)."""
        return self.plain @ self.unit

    @property
    def to_harmful(self) -> Tensor:
        """Where harmful prompts lie along the direction, (layers + 1,)."""
        return self.harmful @ self.unit

    def ablation(self, strength: float = 1.0) -> Edit:
        """The edit that takes refusal away."""
        return Ablation(self.vector, strength, self.to_plain if self.affine else None)

    def addition(self, strength: float = 1.0) -> Edit:
        """The edit that makes the model refuse."""
        return Addition(self.vector, self.layer, strength)

    def random(self, seed: int) -> Direction:
        """A direction drawn evenly, of the same norm: the control."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(len(self.vector), generator=generator, dtype=torch.float64)
        vector = drawn / drawn.norm() * self.vector.double().norm()
        return replace(self, vector=vector.float())


def ablations(directions: Sequence[Direction], which: Tensor) -> Ablation:
    """The ablation of another direction in each row: ``directions[which[row]]``."""
    vectors = torch.stack([d.vector for d in directions])
    origins = torch.stack([d.to_plain for d in directions]) if directions[0].affine else None
    return Ablation(vectors[which][:, None], origins=None if origins is None else origins[which])
