"""How much a model is about to refuse, from its logits at the first answer position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from overrefusal.errors import OverrefusalError

if TYPE_CHECKING:
    from torch import Tensor


def refusal_score(logits: Tensor, tokens: Sequence[int]) -> Tensor:
    """The log-odds of a refusal, (rows,) in float64: above 0 it is likelier than not.

    ``logits`` (rows, vocabulary) stand at the first answer position; p is the summed probability of
    ``tokens`` there, the score is log p - log(1 - p) (Arditi et al., arXiv:2406.11717, 2.3, without
    their epsilon).

    Raises ``OverrefusalError`` where ``tokens`` is empty or is no part of the vocabulary.
    """
    import torch

    ids = sorted(set(tokens))
    if not ids or ids[0] < 0 or ids[-1] >= logits.shape[-1]:
        raise OverrefusalError(
            f"refusal tokens {list(tokens)[:8]} are none of the model's {logits.shape[-1]} tokens"
        )
    exact = logits.double()
    refusing = torch.logsumexp(exact[:, ids], dim=-1)
    others = exact.index_fill(-1, torch.tensor(ids, device=exact.device), -torch.inf)
    return refusing - torch.logsumexp(others, dim=-1)


def kl_divergence(before: Tensor, after: Tensor) -> Tensor:
    """KL(before || after) in nats of next-token distributions, (rows,) in float64.

    Both are logits (rows, vocabulary).
    """
    p, q = before.double().log_softmax(-1), after.double().log_softmax(-1)
    return (p.exp() * (p - q)).sum(-1)
