"""A key-value cache that rows join and leave while the others go on.

All rows end at one column, so that a step appends one column for everybody and transformers' own
masks for left-padded batches hold. Of a buffer

    row 0    . . a b c d e |
    row 1    . . . . . f g |
    row 2    . h i j k l m |

the window shown to attention is as wide as the longest row. A row that leaves is overwritten by
the last one; rows that join are written into the columns before the common end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import (
    Cache,
    CacheLayerMixin,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
)


class SlotCache(Cache):
    """Keys and values of up to ``rows`` rows; layers are laid out at the first forward pass.

    ``lengths`` holds the number of tokens of each row. Before a forward pass, :meth:`join` or
    :meth:`step` says which rows and columns it is about.
    """

    def __init__(self, rows: int, device: torch.device) -> None:
        new_layer: Any = lambda: _Layer(self)  # noqa: E731 - transformers calls it like a class
        super().__init__(layer_class_to_replicate=new_layer)
        self.rows = rows
        self.columns = 0
        self.lengths: list[int] = []
        self.end = 0
        self.visible = torch.zeros(rows, 0, dtype=torch.bool, device=device)
        self.view = (slice(0, 0), slice(0, 0))
        """Rows and columns of the forward pass at hand."""
        self.past = 0
        """Columns in view that hold earlier tokens."""

    def join(self, lengths: Sequence[int]) -> torch.Tensor | None:
        """Make room for new rows of these many tokens, left-padded to the longest.

        Returns their mask (rows, longest), or ``None`` where nothing is padded.
        """
        width = max(lengths)
        if self.end < width or self.columns < width:
            window = max(self.lengths, default=0)
            self._move(max(width, window), 2 * max(width, window) + 32)
        first = len(self.lengths)
        rows = slice(first, first + len(lengths))
        columns = slice(self.end - width, self.end)
        self.lengths += lengths
        for row, length in enumerate(lengths, first):
            self.visible[row, : self.end - length] = False
            self.visible[row, self.end - length :] = True
        self.view, self.past = (rows, columns), 0
        return None if min(lengths) == width else self.visible[rows, columns]

    def step(self) -> torch.Tensor | None:
        """Make room for one more token of every row.

        Returns the mask (rows, longest) that includes it, or ``None`` where nothing is padded.
        """
        longest = max(self.lengths)
        if self.end == self.columns:
            self._move(longest, max(self.columns, 2 * longest + 32))
        self.lengths = [length + 1 for length in self.lengths]
        self.end += 1
        rows, columns = slice(0, len(self.lengths)), slice(self.end - longest - 1, self.end)
        self.view, self.past = (rows, columns), longest
        return None if min(self.lengths) > longest else self.visible[rows, columns]

    def leave(self, rows: Sequence[int]) -> list[int]:
        """Drop these rows; returns the old numbers of those that stay, in their new order."""
        gone = set(rows)
        count = len(self.lengths) - len(gone)
        order = list(range(count))
        holes = [row for row in order if row in gone]
        movers = [row for row in range(count, len(self.lengths)) if row not in gone]
        for hole, mover in zip(holes, movers, strict=True):
            order[hole] = mover
        if holes:
            columns = slice(self.end - max(self.lengths), self.end)
            for layer in self._filled():
                layer.keys[holes, :, columns] = layer.keys[movers, :, columns]
                layer.values[holes, :, columns] = layer.values[movers, :, columns]
            self.visible[holes] = self.visible[movers]
        self.lengths = [self.lengths[row] for row in order]
        return order

    def _filled(self) -> list[Any]:
        """The layers that hold keys and values; one that borrows another's has none."""
        layers: list[Any] = list(self.layers)
        return [layer for layer in layers if layer.is_initialized]

    def _move(self, end: int, columns: int) -> None:
        """Let the common end stand at column ``end`` of buffers that are ``columns`` wide."""
        count, window = len(self.lengths), max(self.lengths, default=0)
        old, new = slice(self.end - window, self.end), slice(end - window, end)

        def moved(buffer: torch.Tensor) -> torch.Tensor:
            shape = (*buffer.shape[:-2], columns, buffer.shape[-1])
            # Zeros, because what is masked is multiplied by nought and must be finite.
            fresh = buffer.new_zeros(shape)
            fresh[:count, :, new] = buffer[:count, :, old]
            return fresh

        for layer in self._filled():
            layer.keys = moved(layer.keys)
            layer.values = moved(layer.values)
        visible = self.visible.new_zeros(self.rows, columns)
        visible[:count, new] = self.visible[:count, old]
        visible[:count, end:] = True
        self.visible, self.end, self.columns = visible, end, columns


class _Layer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's buffers: (rows, heads, columns, head width)."""

    keys: Any
    values: Any

    def __init__(self, cache: SlotCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._cache = cache

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        def buffer(like: torch.Tensor) -> torch.Tensor:
            shape = (self._cache.rows, like.shape[1], self._cache.columns, like.shape[3])
            return like.new_zeros(shape)

        self.keys, self.values = buffer(key_states), buffer(value_states)
        self.is_initialized = True

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        rows, columns = self._cache.view
        fresh = slice(columns.stop - key_states.shape[-2], columns.stop)
        self.keys[rows, :, fresh] = key_states
        self.values[rows, :, fresh] = value_states
        return self.keys[rows, :, columns], self.values[rows, :, columns]

    def get_seq_length(self) -> int:
        return self._cache.past

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._cache.past + query_length, 0

    def get_max_length(self) -> int:
        return -1


def spliceable(model: Any) -> bool:
    """Whether all that ``model`` remembers of a row are keys and values, one pair a token."""
    config = model.config.get_text_config(decoder=True)
    if getattr(model, "_is_stateful", False) or model.config.is_encoder_decoder:
        return False
    if getattr(config, "attention_chunk_size", None) is not None:
        return False
    layers = DynamicCache(config=model.config).layers
    return all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def bytes_per_token(model: Any) -> int:
    """What one token of one row takes in the cache, in bytes."""
    config = model.config.get_text_config(decoder=True)
    heads = getattr(config, "num_attention_heads", None) or 1
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    pairs = getattr(config, "num_key_value_heads", None) or heads
    return int(config.num_hidden_layers * 2 * pairs * width * model.dtype.itemsize)
