"""The weight edit that equals directional ablation (Arditi et al., arXiv:2406.11717, E).

Every matrix that writes to the residual stream loses its part along the direction: W <- W - r r'W.
It lives only as long as a block of code, as a measurement; nothing here writes a model out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from overrefusal.activations.edit import Ablation, editing
from overrefusal.activations.structure import Structure, device_of
from overrefusal.errors import OverrefusalError

WRITERS = frozenset(
    (
        "o_proj", "out_proj", "c_proj", "dense", "wo", "dense_4h_to_h", "down_proj", "fc2",
        "fc_out", "w2", "output_linear",
    )
)  # fmt: skip
"""What matrices that write to the stream are called. What this list misses is not skipped: the
edit is compared with the ablation, and undone where they differ."""
TOLERANCE = 1e-3
"""Largest difference of logits, as a share of the largest logit, that rounding may leave."""
_PROBE = (3, 1, 4, 1, 5, 9, 2)


@contextmanager
def ablated_weights(model: nn.Module, structure: Structure, direction: Tensor) -> Iterator[None]:
    """While open, no weight of ``model`` writes along ``direction`` (width,).

    A head tied to the embedding gets weights of its own, which stay as they are. Afterwards all
    weights are what they were, bit for bit.

    Raises ``OverrefusalError`` where the edit would not equal the ablation: a norm stands between
    the weights and the stream (Gemma, OLMo 2), the weights are quantized, or what writes is not
    known.
    """
    unit = nn.functional.normalize(direction.double(), dim=0)
    ids = torch.tensor([_PROBE], device=device_of(model)) % _vocabulary(model)
    with torch.inference_mode(), editing(structure, Ablation(direction)):
        wanted = model(input_ids=ids, use_cache=False).logits.double()
    with ExitStack() as stack:
        _untie(model, stack)
        for parameter, axis in _writers(model, structure):
            _project_out(parameter, axis, unit, stack)
        with torch.inference_mode():
            found = model(input_ids=ids, use_cache=False).logits.double()
        worst = float((found - wanted).abs().max() / wanted.abs().max())
        precision = next(model.parameters()).dtype
        if not worst <= TOLERANCE + 4 * torch.finfo(precision).eps:
            raise OverrefusalError(
                f"{type(model).__name__}: editing its weights would not equal the ablation (logits "
                f"differ by {worst:.1%}): a norm stands between them and the residual stream, or "
                f"some of what writes to it is not known; blocks are {structure.describe()}"
            )
        yield


def _vocabulary(model: Any) -> int:
    return int(model.get_input_embeddings().weight.shape[0])


def _untie(model: Any, stack: ExitStack) -> None:
    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    if head is None or head.weight is not embedding.weight:
        return
    tied = head.weight
    stack.callback(setattr, head, "weight", tied)
    head.weight = nn.Parameter(tied.detach().clone(), requires_grad=tied.requires_grad)


def _writers(model: nn.Module, structure: Structure) -> Iterator[tuple[Tensor, int]]:
    """The parameters that write to the stream, each with its axis along the stream's width."""
    blocks = {id(m) for block in structure.blocks for m in block.module.modules()}
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    for module in model.modules():
        if id(module) in blocks or module is head:
            continue
        if isinstance(module, nn.Embedding) and module.embedding_dim == structure.width:
            yield module.weight, 1
    for block in structure.blocks:
        for part in (block.attention, block.mlp):
            found = list(_in_part(part, structure.width))
            if not found:
                raise OverrefusalError(
                    f"{type(part).__name__} writes to the residual stream with no matrix that can "
                    "be edited to equal the ablation; its weights stay as they are"
                )
            yield from found


def _in_part(part: nn.Module, width: int) -> Iterator[tuple[Tensor, int]]:
    for path, module in part.named_modules():
        name = path.rpartition(".")[2]
        weight = getattr(module, "weight", None)
        if isinstance(weight, nn.Parameter) and weight.dim() == 2 and (name in WRITERS or not path):
            # GPT-2 keeps its matrices the other way around.
            yield weight, 1 if type(module).__name__ == "Conv1D" else 0
            bias = getattr(module, "bias", None)
            if isinstance(bias, nn.Parameter):
                yield bias, 0
        for own, parameter in module.named_parameters(recurse=False):
            # The experts of a mixture, fused to one tensor: (experts, width, inner) or turned.
            if own.removesuffix("_bias") in WRITERS:
                yield parameter, _fused_axis(parameter, own, module, width)


def _fused_axis(parameter: nn.Parameter, name: str, module: nn.Module, width: int) -> int:
    if name.endswith("_bias"):
        return parameter.dim() - 1
    axes = [axis for axis in range(1, parameter.dim()) if parameter.shape[axis] == width]
    if len(axes) == 1:
        return axes[0]
    # Square: as its gates, which read the stream, are turned.
    gates = next((p for n, p in module.named_parameters(recurse=False) if "gate" in n), None)
    turned = gates is not None and gates.shape[1] == width and gates.shape[2] != width
    return 2 if turned else 1


def _project_out(parameter: Tensor, axis: int, unit: Tensor, stack: ExitStack) -> None:
    if not parameter.is_floating_point() or parameter.shape[axis] != len(unit):
        raise OverrefusalError(
            f"a weight of shape {tuple(parameter.shape)} and type {parameter.dtype} cannot be "
            f"edited along a direction of width {len(unit)}; load the model without quantization"
        )
    before = parameter.detach().clone()

    def restore() -> None:
        with torch.no_grad():
            parameter.copy_(before)

    stack.callback(restore)
    with torch.no_grad():
        r = unit.to(parameter.device)
        turned = parameter.double().movedim(axis, -1)
        edited = turned - (turned @ r)[..., None] * r
        parameter.copy_(edited.movedim(-1, axis).to(parameter.dtype))
