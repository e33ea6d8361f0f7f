"""The size of the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """Hyper-parameters of a Llama without grouped queries, its embedding tied to its output."""

    vocab: int = 5120
    hidden: int = 128
    layers: int = 4
    heads: int = 4
    mlp: int = 344
    positions: int = 512
    rope_theta: float = 10000.0
    eps: float = 1e-5

    @property
    def head(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads
