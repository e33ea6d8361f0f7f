"""Which words push a local model towards refusal, by its own gradients.

Gradient x input (Simonyan et al. 2013; Shrikumar et al. 2016, arXiv:1605.01713): the inner product
of each input embedding with the gradient that the refusal score has there, summed over the tokens
of a word. It only orders the words; what is reported was verified by asking.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from overrefusal.diagnosis.words import Unit
from overrefusal.directions.refusal_tokens import RefusalTokens, find_refusal_tokens
from overrefusal.directions.score import refusal_score
from overrefusal.errors import OverrefusalError
from overrefusal.models.local.chat import render
from overrefusal.records import Message

if TYPE_CHECKING:
    from torch import Tensor

    from overrefusal.models.local.load import Loaded

EXAMPLES = 96
"""Prompts of each outcome from which the refusal tokens are found, or a few more."""
_BATCH = 16


def opening_tokens(
    loaded: Loaded,
    refused: Sequence[Sequence[Message]],
    answered: Sequence[Sequence[Message]],
) -> RefusalTokens:
    """The tokens that open the model's refusals, from conversations it refused and answered.

    Raises ``OverrefusalError`` where there are none of either, or where the first token does not
    tell.
    """
    import torch

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for conversations, label in ((refused, True), (answered, False)):
            # Spread over the suite, whose parts may be of different kinds.
            chosen = conversations[:: max(1, len(conversations) // EXAMPLES)]
            for start in range(0, len(chosen), _BATCH):
                batch = chosen[start : start + _BATCH]
                texts = [render(loaded.tokenizer, messages) for messages in batch]
                inputs = loaded.tokenizer(
                    texts, return_tensors="pt", padding=True, add_special_tokens=False
                ).to(loaded.model.device)
                with torch.inference_mode():
                    logits = loaded.model(
                        input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]
                    ).logits[:, -1]
                yield logits, torch.full((len(batch),), label)

    try:
        return find_refusal_tokens(batches())
    except OverrefusalError as error:
        raise OverrefusalError(f"{error}; or leave out --white-box") from None


def saliency(
    loaded: Loaded, messages: Sequence[Message], tokens: Sequence[int], units: Sequence[Unit]
) -> list[float]:
    """Gradient x input of the refusal score, summed over the tokens of each unit.

    ``units`` are spans of the last message; ``tokens`` open the model's refusals. Above 0 a unit
    pushes towards refusal.

    Raises ``OverrefusalError`` where the chat template or tokenizer hides where the words stand.
    """
    import torch

    text = render(loaded.tokenizer, messages)
    content = messages[-1].content
    at = text.rfind(content)
    lead = 0
    if at < 0:
        # Many templates strip the turn.
        lead = len(content) - len(content.lstrip())
        at = text.rfind(content.strip())
    if at < 0:
        raise OverrefusalError(
            f"{loaded.spec}: its chat template changes the prompt's text, so words cannot be found "
            "in it; leave out --white-box"
        )
    try:
        inputs: Any = loaded.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    except NotImplementedError:
        raise OverrefusalError(
            f"{loaded.spec}: its tokenizer does not say where tokens stand; leave out --white-box"
        ) from None
    ids = torch.tensor([inputs["input_ids"]], device=loaded.model.device)
    embedded = loaded.model.get_input_embeddings()(ids).detach().requires_grad_(True)
    logits = loaded.model(inputs_embeds=embedded).logits[:, -1]
    (gradient,) = torch.autograd.grad(refusal_score(logits, tokens).sum(), embedded)
    by_token = (gradient * embedded).sum(-1)[0].double().tolist()
    found = []
    for unit in units:
        start, end = at + unit.start - lead, at + unit.end - lead
        found.append(
            sum(
                value
                for value, (first, last) in zip(by_token, inputs["offset_mapping"], strict=True)
                if first < end and last > start
            )
        )
    return found
