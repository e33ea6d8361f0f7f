"""Going on from a recorded stream: the blocks before it are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from overrefusal.activations.structure import Structure, stream_in


@contextmanager
def resuming(structure: Structure, layer: int, stream: Tensor) -> Iterator[None]:
    """While open, block ``layer`` takes ``stream`` (rows, tokens, width), and those before it do
    nothing. The forward pass must be of the tokens the stream was recorded with, without a cache.

    Edits entered afterwards act on ``stream``. Raises nothing of its own.
    """

    def given(
        _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if args:
            return (stream, *args[1:]), kwargs
        return args, kwargs | {"hidden_states": stream}

    with ExitStack() as stack:
        for block in structure.blocks[:layer]:
            stack.enter_context(_skipped(block.module, block.wrapped))
        taker = structure.blocks[layer].module
        stack.callback(taker.register_forward_pre_hook(given, with_kwargs=True).remove)
        yield


@contextmanager
def _skipped(module: nn.Module, wrapped: int) -> Iterator[None]:
    """While open, the module gives what it takes, in a tuple where it gives one."""
    own = module.__dict__.get("forward")

    def forward(*args: Any, **kwargs: Any) -> Any:
        taken = stream_in(args, kwargs)
        return (taken, *([None] * (wrapped - 1))) if wrapped else taken

    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.__dict__["forward"]
        else:
            module.forward = own
