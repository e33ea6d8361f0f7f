"""Editing the residual stream while a block of code runs: directional ablation and addition.

Edits act on every token of every forward pass, so on each token that a KV cache feeds singly too.
Their tensors follow the stream to its device and precision; the model itself is never moved.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from overrefusal.activations.structure import Structure, stream_in, stream_of
from overrefusal.errors import OverrefusalError

Strength = float | Sequence[float]
"""One number, or one for each row of a batch; 0 leaves a row exactly as it is."""
_Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Ablation:
    """x - strength * r (r . x) wherever the stream is read or written: at every block's input and
    at what its attention and its MLP add (Arditi et al., arXiv:2406.11717, 2.4).

    With ``origins`` c the blocks' inputs and the last block's output are moved to c instead of to
    0 along r, x - strength * r (r . x - c), as in affine concept editing (Marshall et al.,
    arXiv:2411.09003): what both groups of prompts have in common stays.
    """

    directions: Tensor
    """(width,); or (layers, width), one a block; or (rows, layers or 1, width), each row of the
    batch its own. They are divided by their norms; a vector of zeros changes nothing."""
    strength: Strength = 1.0
    origins: Tensor | None = None
    """(layers + 1,), or (rows, layers + 1): where the stream of each layer is moved to."""


@dataclass(frozen=True, slots=True, eq=False)
class Addition:
    """x + strength * v at the input of block ``layer``: where a vector recorded at that layer of
    the stream was read (ibid.)."""

    vectors: Tensor
    """(width,); or (rows, width), each row of the batch its own."""
    layer: int
    strength: Strength = 1.0


Edit = Ablation | Addition


@dataclass(slots=True)
class _Sites:
    """What changes the stream where."""

    inputs: dict[int, list[_Change]] = field(default_factory=dict)
    """By layer; of the number of layers, behind the last block."""
    parts: dict[int, list[_Change]] = field(default_factory=dict)
    """Behind attention and MLP of a layer's block."""


@contextmanager
def editing(structure: Structure, *edits: Edit) -> Iterator[None]:
    """While open, the model's stream is edited, by each of ``edits`` in turn.

    Whatever happens inside, it ends with the model as it was. Edits whose strength is 0 throughout
    are not installed. Contexts can be nested: the outer one's edits come first.

    Raises ``OverrefusalError`` for vectors of another width or number of layers; the forward pass
    raises it for a batch of another number of rows.
    """
    sites = _Sites()
    for edit in edits:
        _place(structure, edit, sites)
    with ExitStack() as stack:
        for i, block in enumerate(structure.blocks):
            if changes := sites.inputs.get(i):
                handle = block.module.register_forward_pre_hook(_before(changes), with_kwargs=True)
                stack.callback(handle.remove)
            if changes := sites.parts.get(i):
                for part in (block.attention, block.mlp):
                    stack.callback(part.register_forward_hook(_after(changes)).remove)
        if changes := sites.inputs.get(len(structure)):
            last = structure.blocks[-1].module
            stack.callback(last.register_forward_hook(_after(changes)).remove)
        yield


def _place(structure: Structure, edit: Edit, sites: _Sites) -> None:
    strength = torch.as_tensor(edit.strength, dtype=torch.float32).reshape(-1)
    if not bool(strength.any()):
        return
    if isinstance(edit, Addition):
        vectors = edit.vectors if edit.vectors.dim() == 2 else edit.vectors[None]
        if vectors.dim() != 2 or vectors.shape[-1] != structure.width:
            raise OverrefusalError(_misfit(edit.vectors, structure))
        if not 0 <= edit.layer < len(structure):
            raise OverrefusalError(
                f"layer {edit.layer}: the model has layers 0 to {len(structure) - 1}"
            )
        change = _Rows(vectors, strength, _added)
        sites.inputs.setdefault(edit.layer, []).append(change)
        return
    given, layers = edit.directions, len(structure)
    directions = given[(None,) * (3 - given.dim())] if given.dim() < 3 else given
    if directions.shape[-1] != structure.width or directions.shape[1] not in (1, layers):
        raise OverrefusalError(_misfit(given, structure))
    units = nn.functional.normalize(directions.double(), dim=-1, eps=1e-30)
    origins = None
    if edit.origins is not None:
        origins = edit.origins if edit.origins.dim() == 2 else edit.origins[None]
        if origins.shape[-1] != layers + 1:
            raise OverrefusalError(_misfit(edit.origins, structure))
    for i in range(layers + (origins is not None)):
        own = units[:, min(i, units.shape[1] - 1)]
        at = None if origins is None else origins[:, i]
        sites.inputs.setdefault(i, []).append(_Rows(own, strength, _ablated, at))
        if i < layers:
            sites.parts.setdefault(i, []).append(_Rows(own, strength, _ablated))


def _misfit(vectors: Tensor, structure: Structure) -> str:
    return (
        f"a vector of shape {tuple(vectors.shape)} does not fit a stream of {len(structure)} "
        f"layers and width {structure.width}; it is from another model"
    )


class _Rows:
    """A change of the stream with vectors (rows or 1, width), strengths and, where there are any,
    origins (rows or 1,)."""

    def __init__(
        self,
        vectors: Tensor,
        strength: Tensor,
        change: Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor],
        origins: Tensor | None = None,
    ) -> None:
        self._vectors, self._strength, self._change = vectors, strength, change
        self._origins = origins
        self._whole = bool(strength.all())
        self._ready: dict[
            tuple[torch.device, torch.dtype], tuple[Tensor, Tensor, Tensor | None]
        ] = {}

    def __call__(self, stream: Tensor) -> Tensor:
        if stream.dim() != 3:
            raise OverrefusalError(
                f"a block's part gave a tensor of shape {tuple(stream.shape)}; edits need one of "
                "rows, tokens and width"
            )
        given = (self._vectors, self._strength, self._origins)
        rows = {len(each) for each in given if each is not None} - {1}
        if rows - {stream.shape[0]}:
            raise OverrefusalError(
                f"the edit is for {max(rows)} rows, the batch has {stream.shape[0]}"
            )
        # In half precision the rounding of the difference would be as large as the edit.
        exact = torch.float64 if stream.dtype == torch.float64 else torch.float32
        place = (stream.device, exact)
        if place not in self._ready:
            vectors, strength, origins = self._vectors, self._strength, self._origins
            self._ready[place] = (
                vectors.to(*place),
                strength.to(*place),
                None if origins is None else origins.to(*place),
            )
        vectors, strength, origins = self._ready[place]
        changed = self._change(stream.to(exact), vectors, strength, origins).to(stream.dtype)
        if self._whole:
            return changed
        return torch.where((strength != 0)[:, None, None], changed, stream)


def _ablated(x: Tensor, units: Tensor, strength: Tensor, origins: Tensor | None) -> Tensor:
    along = x @ units[0][:, None] if len(units) == 1 else torch.bmm(x, units[:, :, None])
    if origins is not None:
        along = along - origins[:, None, None]
    along = along * strength[:, None, None]
    if len(units) == 1:
        return torch.addcmul(x, along, units[0], value=-1.0)
    return torch.baddbmm(x, along, units[:, None, :], alpha=-1.0)


def _added(x: Tensor, vectors: Tensor, strength: Tensor, _: Tensor | None) -> Tensor:
    return x + (vectors * strength[:, None])[:, None, :]


def _before(
    changes: Sequence[_Change],
) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]:
    def hook(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        stream = _all(changes, stream_in(args, kwargs))
        if args:
            return (stream, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": stream}

    return hook


def _after(changes: Sequence[_Change]) -> Callable[[nn.Module, tuple[Any, ...], Any], Any]:
    def hook(_: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        return _replaced(output, _all(changes, stream_of(output)))

    return hook


def _all(changes: Sequence[_Change], stream: Tensor) -> Tensor:
    for change in changes:
        stream = change(stream)
    return stream


def _replaced(output: Any, stream: Tensor) -> Any:
    """``output`` with ``stream`` where ``stream_of`` found it."""
    if isinstance(output, tuple):
        return (_replaced(output[0], stream), *output[1:])
    if isinstance(output, list):
        return [_replaced(output[0], stream), *output[1:]]
    return stream
