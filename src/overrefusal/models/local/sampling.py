"""Drawing tokens, each row from a generator of its own."""

from __future__ import annotations

import torch


class Draw:
    """Draws tokens at a temperature above 0 from the smallest set with probability ``top_p``.

    The draws of one row depend on its logits and ``seed`` alone; ``None`` takes any seed.
    """

    def __init__(self, temperature: float, top_p: float | None, seed: int | None) -> None:
        self._temperature = temperature
        self._top_p = 1.0 if top_p is None else top_p
        self._generator = torch.Generator()
        if seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(seed)

    def __call__(self, logits: torch.Tensor) -> int:
        """The token drawn after ``logits`` (vocabulary,).

        Adding Gumbel noise to logits and taking the largest draws from their softmax (Gumbel,
        1954). The nucleus is that of Holtzman et al. (2020).
        """
        scores = logits.double().cpu() / self._temperature
        if self._top_p < 1:
            ordered, index = scores.sort(descending=True)
            before = ordered.softmax(-1).cumsum(-1) - ordered.softmax(-1)
            beyond = before >= self._top_p
            beyond[0] = False
            scores[index[beyond]] = -torch.inf
        uniform = torch.rand(scores.shape[0], generator=self._generator, dtype=torch.float64)
        return int((scores - torch.log(-torch.log(uniform))).argmax())
