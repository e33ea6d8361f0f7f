"""The tokens a model opens its refusals with, found from its own refusals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from overrefusal.errors import OverrefusalError

if TYPE_CHECKING:
    from torch import Tensor

LIKELIER = 4.0
"""How many times likelier than an answer a refusal must begin with a refusal token."""
RARE = 0.005
"""Tokens with which fewer of the refusals begin are left out."""
ENOUGH = 0.5
"""Share of the refusals that the tokens found must open, on the average."""


@dataclass(frozen=True, slots=True)
class RefusalTokens:
    """Token ids, likeliest first, and the probability with which they open refusals and answers."""

    ids: tuple[int, ...]
    opens_refusals: float
    """Their summed probability at the first answer position, mean over refused prompts."""
    opens_answers: float
    """The same over the answered prompts."""
    n_refused: int
    n_answered: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values."""
        return asdict(self)


def find_refusal_tokens(batches: Iterable[tuple[Tensor, Tensor]]) -> RefusalTokens:
    """Tokens at least ``LIKELIER`` times likelier to open the model's refusals than its answers.

    Each batch is the logits at the first answer position, (rows, vocabulary), and whether the
    model went on to refuse, (rows,) of bool; only two means over the vocabulary are kept.

    Raises ``OverrefusalError`` where the model refused or answered none of the prompts, or where
    its first token does not tell which of the two it does.
    """
    counts = [0, 0]
    sums: list[Any] = [0.0, 0.0]
    for logits, refused in batches:
        probabilities = logits.double().softmax(-1)
        for side in (0, 1):
            rows = refused.to(probabilities.device) == bool(side)
            counts[side] += int(rows.sum())
            sums[side] = sums[side] + probabilities[rows].sum(0)
    n_answered, n_refused = counts
    if not n_answered or not n_refused:
        raise OverrefusalError(
            f"the model {'refused' if n_answered else 'answered'} none of the "
            f"{n_answered + n_refused} prompts, so the tokens that open its refusals cannot be "
            "found; take a suite of which it refuses some and answers some"
        )
    answering, refusing = sums[0] / n_answered, sums[1] / n_refused
    found = ((refusing >= RARE) & (refusing >= LIKELIER * answering)).nonzero()[:, 0]
    ids = tuple(sorted(found.tolist(), key=lambda i: -float(refusing[i])))
    opens = float(refusing[list(ids)].sum())
    if opens < ENOUGH:
        raise OverrefusalError(
            "the model's first token does not tell its refusals from its answers: the tokens that "
            f"mark a refusal open {opens:.0%} of them; select by COSMIC, which needs no tokens"
        )
    return RefusalTokens(ids, opens, float(answering[list(ids)].sum()), n_refused, n_answered)
