"""Where a model's residual stream is: its blocks, and the two parts that each adds to it.

Nothing is taken from names. A list of modules is the model's blocks where, in a forward pass of a
few tokens, each takes what the one before it gave; the parts of a block are those of its modules
whose outputs sum to what the block adds. So norms behind a part (Gemma, OLMo 2), parallel parts
(GPT-NeoX, Falcon), fused experts and scaled residuals (Granite) come out right, and what fits
none of this is an error and not a guess.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import combinations, count, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from overrefusal.errors import OverrefusalError

TOLERANCE = 1e-3
"""Share of what a block adds that its parts may leave unexplained, besides rounding."""
_PROBE = (3, 1, 4, 1, 5, 9, 2)


@dataclass(frozen=True, slots=True)
class Names:
    """Where the blocks are, said by hand: paths as in ``named_modules``."""

    blocks: str
    """Of the list of blocks, such as ``model.layers``."""
    attention: str
    """Within a block, of the module whose output the attention adds to the stream."""
    mlp: str


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One block: its module's first input is the residual stream before it."""

    module: nn.Module
    attention: nn.Module
    """Its output is what the first part adds; behind the part's norm where it has one."""
    mlp: nn.Module
    attention_name: str
    mlp_name: str
    wrapped: int = 0
    """Of how many things its module gives a tuple, the stream first; 0 where it gives no tuple."""


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """A model's blocks in order. Layer ``i`` of the stream is what block ``i`` takes; layer
    ``len(blocks)`` is what the last block gives."""

    path: str
    blocks: tuple[Block, ...]
    width: int

    def __len__(self) -> int:
        return len(self.blocks)

    def describe(self) -> str:
        """``model.layers: 4 x LlamaDecoderLayer (self_attn, mlp)``."""
        kinds = {(type(b.module).__name__, b.attention_name, b.mlp_name): None for b in self.blocks}
        kind = " and ".join(f"{name} ({a}, {m})" for name, a, m in kinds)
        return f"{self.path}: {len(self.blocks)} x {kind}"


@dataclass(slots=True)
class _Seen:
    """What a module took and gave in the probe; ``None`` unless it ran once on the stream."""

    runs: int = 0
    ended: int = 0
    """When it was done, in the order of all modules."""
    before: Tensor | None = None
    after: Tensor | None = None
    wrapped: int = 0


def find_structure(model: nn.Module, names: Names | None = None) -> Structure:
    """The blocks of a causal language model in evaluation mode, by one pass of seven tokens.

    ``names`` overrides what would be found; its block list must still carry the stream.

    Raises ``OverrefusalError`` naming what was found where the structure is none of the known.
    """
    kind = type(model).__name__
    if model.training:
        raise OverrefusalError(f"{kind} is in training mode; call model.eval() first")
    modules = dict(model.named_modules())
    lists = {
        path: list(module.named_children())
        for path, module in modules.items()
        if isinstance(module, nn.ModuleList) and len(module)
    }
    if names is not None:
        lists = {names.blocks: lists.get(names.blocks, [])}
        if not lists[names.blocks]:
            raise OverrefusalError(f"{kind} has no list of modules {names.blocks!r}")
    inside = {
        path: module
        for path, module in modules.items()
        if any(path.startswith(f"{name}.") for name in lists)
    }
    seen = {path: _Seen() for path in inside}
    with _watched(inside, seen):
        _probe(model)
    chained = [path for path, items in lists.items() if _is_chain(path, items, seen)]
    # What runs inside a block on the stream's shape is a part of it.
    chains = [p for p in chained if not any(p.startswith(f"{q}.") for q in chained)]
    if len(chains) != 1:
        found = ", ".join(
            f"{path} ({len(items)} x {type(items[0][1]).__name__})" for path, items in lists.items()
        )
        raise OverrefusalError(
            f"{kind}: {'no' if not chains else 'more than one'} list of modules hands the residual "
            f"stream on from block to block; its lists are {found or 'none'}; name the right one "
            "with its attention and MLP"
        )
    path = chains[0]
    blocks = tuple(
        _block(f"{path}.{name}", module, inside, seen, names) for name, module in lists[path]
    )
    return Structure(path, blocks, _stream(seen[f"{path}.{lists[path][0][0]}"].before).shape[-1])


def stream_of(value: Any) -> Tensor:
    """The stream's tensor in what a module gave: itself, or the first of a tuple."""
    while isinstance(value, (tuple, list)) and value:
        value = value[0]
    return _stream(value)


def stream_in(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The stream's tensor in what a block took."""
    return _stream(args[0] if args else kwargs.get("hidden_states"))


def device_of(model: nn.Module) -> torch.device:
    """Where token ids go: beside the input embedding."""
    embedding: nn.Module = model.get_input_embeddings()  # type: ignore[operator]
    return next(embedding.parameters()).device


def _stream(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise OverrefusalError(
            f"a block handed on {type(value).__name__} where the residual stream was expected"
        )
    return value


@contextmanager
def _watched(modules: dict[str, nn.Module], seen: dict[str, _Seen]) -> Iterator[None]:
    clock = count()

    def watch(path: str, module: nn.Module) -> Iterator[Any]:
        def before(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen[path].runs += 1
            value = args[0] if args else kwargs.get("hidden_states")
            seen[path].before = _kept(value)

        def after(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            value = output
            while isinstance(value, (tuple, list)) and value:
                value = value[0]
            seen[path].after, seen[path].ended = _kept(value), next(clock)
            seen[path].wrapped = len(output) if isinstance(output, tuple) else 0

        yield module.register_forward_pre_hook(before, with_kwargs=True)
        yield module.register_forward_hook(after)

    with ExitStack() as stack:
        for path, module in modules.items():
            for handle in watch(path, module):
                stack.callback(handle.remove)
        yield


def _kept(value: Any) -> Tensor | None:
    """A copy, as some blocks add to an output in place."""
    if not isinstance(value, Tensor) or value.dim() != 3 or value.shape[:2] != (1, len(_PROBE)):
        return None
    return value.detach().to("cpu", torch.float64, copy=True)


def _probe(model: nn.Module) -> None:
    embedding: nn.Module = model.get_input_embeddings()  # type: ignore[operator]
    size = next(embedding.parameters()).shape[0]
    ids = torch.tensor([[token % size for token in _PROBE]], device=device_of(model))
    try:
        with torch.inference_mode():
            model(input_ids=ids, use_cache=False)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise OverrefusalError(
            f"{type(model).__name__} does not run on token ids alone, so it is no causal language "
            f"model of the known kind: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from None


def _is_chain(path: str, items: Sequence[tuple[str, nn.Module]], seen: dict[str, _Seen]) -> bool:
    """Whether each module ran once, and on what the one before it gave."""
    streams = [seen[f"{path}.{name}"] for name, _ in items]
    if any(s.runs != 1 or s.before is None or s.after is None for s in streams):
        return False
    if any(s.before.shape != s.after.shape for s in streams if s.before is not None):  # type: ignore[union-attr]
        return False
    return all(torch.equal(_stream(a.after), _stream(b.before)) for a, b in pairwise(streams))


def _block(
    path: str,
    module: nn.Module,
    inside: dict[str, nn.Module],
    seen: dict[str, _Seen],
    names: Names | None,
) -> Block:
    parts = {p.removeprefix(f"{path}."): m for p, m in inside.items() if p.startswith(f"{path}.")}
    if names is not None:
        chosen = (names.attention, names.mlp)
        for name in chosen:
            if name not in parts:
                raise OverrefusalError(
                    f"{path} ({type(module).__name__}) has no module {name!r}; it has "
                    f"{', '.join(n for n in parts if '.' not in n)}"
                )
    else:
        chosen = _summands(path, module, parts, seen)
    attention, mlp = chosen
    wrapped = seen[path].wrapped
    return Block(module, parts[attention], parts[mlp], attention, mlp, wrapped)


def _summands(
    path: str, module: nn.Module, parts: dict[str, nn.Module], seen: dict[str, _Seen]
) -> tuple[str, str]:
    """The two modules whose outputs sum to what the block adds, but for one common factor.

    Of several such pairs (a projection, the attention around it, a dropout behind it) the
    outermost and, among these, the first.
    """
    before, after = _stream(seen[path].before), _stream(seen[path].after)
    # The first token's stream can be thousands of times longer than the others' (Sun et al.,
    # arXiv:2402.17762), which would drown the rest.
    added = (after - before)[:, 1:]
    outputs = {
        name: _stream(s.after)[:, 1:]
        for name in parts
        if (s := seen[f"{path}.{name}"]).runs == 1
        and s.after is not None
        and s.after.shape == after.shape
    }
    precision = next((p.dtype for p in module.parameters()), torch.float32)
    rounding = float(torch.finfo(precision).eps) * float(after[:, 1:].norm() / added.norm())
    allowed = min(TOLERANCE + 4 * rounding, 0.2)
    order = sorted(outputs, key=lambda name: (name.count("."), seen[f"{path}.{name}"].ended))
    fits = [
        (a.count(".") + b.count("."), i, (a, b))
        for i, (a, b) in enumerate(combinations(order, 2))
        if _unexplained(added, outputs[a] + outputs[b]) <= allowed
    ]
    if not fits:
        children = ", ".join(
            f"{name} ({type(m).__name__})" for name, m in parts.items() if "." not in name
        )
        raise OverrefusalError(
            f"{path} ({type(module).__name__}): no two of its modules sum to what it adds to the "
            f"residual stream; it has {children}; name its attention and MLP by hand"
        )
    return min(fits)[2]


def _unexplained(added: Tensor, parts: Tensor) -> float:
    """The share of ``added`` that no multiple of ``parts`` reaches."""
    scale = (added * parts).sum() / parts.square().sum()
    return float((added - scale * parts).norm() / added.norm()) if scale > 0 else 1.0
