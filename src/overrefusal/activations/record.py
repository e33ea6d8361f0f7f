"""Recording the residual stream: running moments in float64, nothing kept per prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from overrefusal.activations.batches import batches, next_logits
from overrefusal.activations.positions import Position
from overrefusal.activations.structure import Structure, device_of, stream_in, stream_of
from overrefusal.errors import OverrefusalError

Accept = Callable[[list[int], Tensor], Tensor]
"""From prompts' numbers and their next-token logits to which of them count, (rows,) of bool."""


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What is known of the stream of each group of prompts."""

    groups: tuple[str, ...]
    counts: tuple[int, ...]
    """Prompts of each group."""
    means: Tensor
    """(groups, layers + 1, positions, width), float64; zeros where a group has no prompt."""
    covariances: Tensor | None = None
    """(groups, layers + 1, positions, width, width) over n - 1, where asked for."""

    def mean(self, group: str) -> Tensor:
        """The mean of one group, (layers + 1, positions, width)."""
        return self.means[self.groups.index(group)]


def record_moments(
    model: nn.Module,
    structure: Structure,
    prompts: Sequence[Sequence[int]],
    positions: Sequence[Position],
    groups: Mapping[str, Sequence[int]],
    *,
    covariance: bool = False,
    accept: Accept | None = None,
    tokens: int | None = None,
) -> Moments:
    """Mean (and covariance) of the stream by group, for every layer and position in one pass.

    ``groups`` maps names to numbers of prompts; a prompt may be in several. ``accept`` leaves
    prompts out by what the model is about to say. Edits that are active while this runs are seen.
    """
    names = tuple(groups)
    member = torch.zeros(len(names), len(prompts), dtype=torch.float64)
    for i, name in enumerate(names):
        member[i, list(groups[name])] = 1.0
    moments = [
        _Running(len(names), len(positions), structure.width, covariance)
        for _ in range(len(structure) + 1)
    ]
    for rows, logits, streams in walk(model, structure, prompts, positions, tokens=tokens):
        weights = member[:, rows]
        if accept is not None:
            weights = weights * accept(rows, logits).to("cpu", torch.float64)
        for running, stream in zip(moments, streams, strict=True):
            running.add(stream, weights)
    counts = tuple(int(n) for n in moments[0].counts.tolist())
    return Moments(
        names,
        counts,
        torch.stack([m.means.cpu() for m in moments], dim=1),
        torch.stack([m.covariance() for m in moments], dim=1) if covariance else None,
    )


def project(
    model: nn.Module,
    structure: Structure,
    prompts: Sequence[Sequence[int]],
    position: Position,
    direction: Tensor,
    *,
    tokens: int | None = None,
) -> Tensor:
    """The stream's projection onto a unit vector at one position, (prompts, layers + 1) float64.

    ``direction`` is (width,); it is divided by its norm.
    """
    unit = direction.double() / direction.double().norm()
    out = torch.zeros(len(prompts), len(structure) + 1, dtype=torch.float64)
    for rows, _, streams in walk(model, structure, prompts, [position], tokens=tokens):
        for layer, stream in enumerate(streams):
            out[rows, layer] = (stream[:, 0].double() @ unit.to(stream.device)).cpu()
    return out


def walk(
    model: nn.Module,
    structure: Structure,
    prompts: Sequence[Sequence[int]],
    positions: Sequence[Position],
    *,
    tokens: int | None = None,
) -> Iterator[tuple[list[int], Tensor, list[Tensor]]]:
    """Batch by batch the prompts' numbers, their next-token logits, and the stream of each layer.

    A stream is that at ``positions``, (rows, positions, width), on the layer's own device.
    Raises ``OverrefusalError`` for a prompt that does not reach back to a position.
    """
    offsets = torch.tensor([p.offset for p in positions])
    with torch.inference_mode():
        for batch in batches(prompts, device_of(model), tokens):
            where = batch.lengths.cpu()[:, None] + offsets
            if int(where.min()) < 0:
                raise OverrefusalError(
                    f"a prompt of {int(batch.lengths.min())} tokens has no position "
                    f"{int(offsets.min())}; it was not written by the model's chat template"
                )
            streams: list[Tensor] = []
            with reading(structure, lambda stream: streams.append(_at(stream, where))):  # noqa: B023
                said = next_logits(model, batch)
            yield batch.rows, said, streams


@contextmanager
def reading(structure: Structure, sink: Callable[[Tensor], None]) -> Iterator[None]:
    """While open, ``sink`` is given the stream of layer 0, 1, ... in every forward pass."""

    def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        sink(stream_in(args, kwargs))

    def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        sink(stream_of(output))

    with ExitStack() as stack:
        for block in structure.blocks:
            handle = block.module.register_forward_pre_hook(before, with_kwargs=True)
            stack.callback(handle.remove)
        stack.callback(structure.blocks[-1].module.register_forward_hook(after).remove)
        yield


class _Running:
    """Weighted moments of one layer, batches merged as in Chan, Golub and LeVeque (1983)."""

    def __init__(self, groups: int, positions: int, width: int, covariance: bool) -> None:
        self.counts = torch.zeros(groups, dtype=torch.float64)
        self.means = torch.zeros(groups, positions, width, dtype=torch.float64)
        self._squares = (
            torch.zeros(groups, positions, width, width, dtype=torch.float64)
            if covariance
            else None
        )

    def add(self, stream: Tensor, weights: Tensor) -> None:
        """``stream`` (rows, positions, width), ``weights`` (groups, rows) of 0 and 1."""
        x, w = stream.double(), weights.to(stream.device)
        self.means = self.means.to(x.device)
        new = w.sum(1)
        old = self.counts.to(x.device)
        total = (old + new).clamp(min=1.0)
        batch = torch.einsum("gr,rpd->gpd", w, x) / new.clamp(min=1.0)[:, None, None]
        step = batch - self.means
        if self._squares is not None:
            squares = self._squares.to(x.device)
            for g in range(len(w)):
                rows = x[w[g] > 0]
                if len(rows):
                    centred = rows - batch[g]
                    squares[g] += torch.einsum("rpd,rpe->pde", centred, centred)
                    between = old[g] * new[g] / total[g]
                    squares[g] += between * torch.einsum("pd,pe->pde", step[g], step[g])
            self._squares = squares
        self.means = self.means + step * (new / total)[:, None, None]
        self.counts = self.counts + weights.sum(1)

    def covariance(self) -> Tensor:
        assert self._squares is not None
        return self._squares.cpu() / (self.counts - 1).clamp(min=1.0)[:, None, None, None]


def _at(stream: Tensor, where: Tensor) -> Tensor:
    """The rows' streams at their positions ``where`` (rows, positions)."""
    rows = torch.arange(stream.shape[0], device=stream.device)[:, None]
    return stream[rows, where.to(stream.device)]
