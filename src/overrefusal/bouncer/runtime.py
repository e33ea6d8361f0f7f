"""Greedy generation of a Llama in numpy, batched, with a KV cache.

Single precision throughout. The rows of a batch are of one length where that is possible and
right-padded where it is not, so that no row's result depends on the others'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overrefusal.bouncer.shape import Shape

Array = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(slots=True)
class _Cache:
    """Keys and values of one layer: (rows, heads, positions, head width)."""

    keys: Array
    values: Array


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to the residual stream at every token: ``added`` (hidden,) before block ``layer``;
    the component along the unit vector ``ablated`` (hidden,) taken out before every block and
    from what its attention and its MLP write."""

    layer: int = 0
    added: Array | None = None
    ablated: Array | None = None

    def clean(self, x: Array) -> Array:
        """``x`` without the component along ``ablated``."""
        if self.ablated is None:
            return x
        out: Array = x - (x @ self.ablated)[..., None] * self.ablated
        return out


UNCHANGED = Edit()


class NumpyLlama:
    """The weights, laid out for the matrix products of generation."""

    def __init__(self, shape: Shape, weights: dict[str, Array]) -> None:
        self.shape = shape
        self._embedding = weights["embed_tokens.weight"]
        self._norm = weights["norm"]
        self._output = np.ascontiguousarray(weights["lm_head.weight"].T)
        self._layers = [
            {
                "norm1": weights[f"layers.{i}.input_layernorm"],
                "norm2": weights[f"layers.{i}.post_attention_layernorm"],
                "qkv": _stacked(weights, i, "q_proj", "k_proj", "v_proj"),
                "o": _stacked(weights, i, "o_proj"),
                "gate_up": _stacked(weights, i, "gate_proj", "up_proj"),
                "down": _stacked(weights, i, "down_proj"),
            }
            for i in range(shape.layers)
        ]
        half = np.arange(0, shape.head, 2, dtype=np.float32) / np.float32(shape.head)
        frequencies = (1.0 / np.float32(shape.rope_theta) ** half).astype(np.float32)
        angles = np.outer(np.arange(shape.positions, dtype=np.float32), frequencies)
        self._cos = np.concatenate([np.cos(angles)] * 2, axis=-1).astype(np.float32)
        self._sin = np.concatenate([np.sin(angles)] * 2, axis=-1).astype(np.float32)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        limits: Sequence[int],
        end: int,
        edit: Edit = UNCHANGED,
    ) -> list[list[int]]:
        """The most likely continuations of ``prompts``, each of at most its limit of tokens.

        A continuation that ended includes ``end``. A row leaves the batch when it is done.
        """
        s = self.shape
        ids, lengths = _padded(prompts)
        caches = self._caches(len(prompts), ids.shape[1] + max(limits))
        out: list[list[int]] = [[] for _ in prompts]
        alive = np.arange(len(prompts))
        stream = self._forward(ids, np.zeros_like(lengths), caches, edit)
        last = stream[-1][alive, lengths - 1]
        while True:
            chosen = np.argmax(_rms(last, self._norm, s.eps) @ self._output, axis=-1)
            for row, token in zip(alive, chosen, strict=True):
                out[row].append(int(token))
            keep = np.array(
                [
                    t != end and len(out[r]) < limits[int(r)] and lengths[r] < s.positions
                    for r, t in zip(alive, chosen, strict=True)
                ]
            )
            if not keep.any():
                return out
            if not keep.all():
                alive, chosen = alive[keep], chosen[keep]
                caches = [_Cache(c.keys[keep], c.values[keep]) for c in caches]
            last = self._forward(chosen[:, None], lengths[alive], caches, edit)[-1][:, 0]
            lengths[alive] += 1

    def streams(self, prompts: Sequence[Sequence[int]], position: int) -> Array:
        """The residual stream before each block and after the last, at one position of each
        prompt (negative: from its end); (layers + 1, prompts, hidden)."""
        out: list[Array] = []
        for begin in range(0, len(prompts), 64):
            ids, lengths = _padded(prompts[begin : begin + 64])
            caches = self._caches(*ids.shape)
            at = lengths + position if position < 0 else np.full_like(lengths, position)
            stream = self._forward(ids, np.zeros_like(lengths), caches)
            out.append(np.stack([x[np.arange(len(lengths)), at] for x in stream]))
        return np.concatenate(out, axis=1)

    def _caches(self, rows: int, positions: int) -> list[_Cache]:
        form = (rows, self.shape.heads, positions, self.shape.head)
        return [
            _Cache(np.zeros(form, np.float32), np.zeros(form, np.float32))
            for _ in range(self.shape.layers)
        ]

    def _forward(
        self, ids: Ids, starts: Ids, caches: list[_Cache], edit: Edit = UNCHANGED
    ) -> list[Array]:
        """The residual stream before each block and after the last, each (rows, tokens, hidden);
        token ``j`` of row ``i`` is at position ``starts[i] + j``."""
        s = self.shape
        rows, tokens = ids.shape
        positions = np.minimum(starts[:, None] + np.arange(tokens), s.positions - 1)
        cos, sin = self._cos[positions][:, None], self._sin[positions][:, None]
        total = int(starts.max()) + tokens
        hidden_from = np.where(np.arange(total) <= positions[..., None], 0.0, -np.inf)
        mask = hidden_from.astype(np.float32)[:, None]
        where = starts[:, None] + np.arange(tokens)
        index = np.arange(rows)[:, None]
        x: Array = self._embedding[ids]
        stream: list[Array] = []
        for i, (layer, cache) in enumerate(zip(self._layers, caches, strict=True)):
            if edit.added is not None and edit.layer == i:
                x = x + edit.added
            x = edit.clean(x)
            stream.append(x)
            h = _rms(x, layer["norm1"], s.eps) @ layer["qkv"]
            q, k, v = (
                y.reshape(rows, tokens, s.heads, s.head).transpose(0, 2, 1, 3)
                for y in np.split(h, 3, axis=-1)
            )
            cache.keys[index, :, where] = _rotate(k, cos, sin).transpose(0, 2, 1, 3)
            cache.values[index, :, where] = v.transpose(0, 2, 1, 3)
            scores = _rotate(q, cos, sin) @ cache.keys[:, :, :total].transpose(0, 1, 3, 2)
            scores = scores * np.float32(s.head**-0.5) + mask
            scores -= scores.max(axis=-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(axis=-1, keepdims=True)
            mixed = (scores @ cache.values[:, :, :total]).transpose(0, 2, 1, 3)
            x = x + edit.clean(mixed.reshape(rows, tokens, -1) @ layer["o"])
            gate, up = np.split(_rms(x, layer["norm2"], s.eps) @ layer["gate_up"], 2, axis=-1)
            x = x + edit.clean((gate / (1 + np.exp(-gate)) * up) @ layer["down"])
        return [*stream, x]


def _padded(prompts: Sequence[Sequence[int]]) -> tuple[Ids, Ids]:
    """Right-padded ids (rows, tokens) and the lengths."""
    lengths = np.array([len(p) for p in prompts], dtype=np.int64)
    ids = np.zeros((len(prompts), int(lengths.max())), dtype=np.int64)
    for i, prompt in enumerate(prompts):
        ids[i, : len(prompt)] = prompt
    return ids, lengths


def _stacked(weights: dict[str, Array], layer: int, *names: str) -> Array:
    parts = [weights[f"layers.{layer}.{n}.weight"] for n in names]
    return np.ascontiguousarray(np.concatenate(parts).T)


def _rms(x: Array, scale: Array, eps: float) -> Array:
    mean = np.mean(np.square(x), axis=-1, keepdims=True)
    out: Array = np.asarray(x / np.sqrt(mean + np.float32(eps)) * scale, dtype=np.float32)
    return out


def _rotate(x: Array, cos: Array, sin: Array) -> Array:
    half = x.shape[-1] // 2
    turned = np.concatenate([-x[..., half:], x[..., :half]], axis=-1)
    out: Array = np.asarray(x * cos + turned * sin, dtype=np.float32)
    return out
