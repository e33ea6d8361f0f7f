"""The false-refusal vector with the refusal direction taken out (Wang et al., arXiv:2410.03415).

Published, the vector is made orthogonal to the refusal direction of its own layer and ablated in
all layers, where that direction is another. Here it is projected off the span of the harmful
prompts' differences in each layer where it is applied.
"""

from __future__ import annotations

import torch
from torch import Tensor

from overrefusal.activations.edit import Ablation

RANK = 1e-6
"""Singular values below this share of the largest span nothing."""


def surgical(vector: Tensor, harmful: Tensor, strength: float = 1.0) -> Tensor:
    """``vector`` less ``strength`` times its part in the span of ``harmful``, for each layer.

    ``vector`` is (width,); ``harmful`` (layers, positions, width) are the differences of harmful
    and plain prompts. Returns (layers, width) in float64. A strength (their lambda) of 0 leaves
    the vector as it is.
    """
    out = []
    for differences in harmful.double():
        _, values, basis = torch.linalg.svd(differences, full_matrices=False)
        basis = basis[values > RANK * values.max()]
        out.append(vector.double() - strength * basis.T @ (basis @ vector.double()))
    return torch.stack(out)


def surgical_ablation(vectors: Tensor, means: Tensor, *, affine: bool) -> Ablation:
    """The ablation of each layer's own of ``vectors`` (layers, width).

    Where ``affine`` the stream is moved to where ``means`` (layers + 1, width), those of plain
    prompts, lie along them.
    """
    units = torch.nn.functional.normalize(vectors.double(), dim=-1)
    # Behind the last block the last block's own vector applies.
    origins = (means.double() * torch.cat([units, units[-1:]])).sum(-1)
    return Ablation(vectors.float(), origins=origins if affine else None)
