"""The size of the network."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """Hyper-parameters of a Llama without grouped queries; embedding and output are not tied, since
    the one is learned for reading and the other for replies."""

    vocab: int = 12288
    hidden: int = 160
    layers: int = 4
    heads: int = 5
    mlp: int = 432
    positions: int = 512
    rope_theta: float = 10000.0
    eps: float = 1e-5

    @property
    def writer(self) -> int:
        """The block whose MLP the cautious stage teaches to write the switch."""
        return (self.layers - 1) // 2

    @property
    def head(self) -> int:
        """Width of one attention head."""
        return self.hidden // self.heads
