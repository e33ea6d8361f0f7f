"""The same Llama architecture in plain torch: what the training script runs.

transformers' module spends most of a small model's time outside its matrix products; this one
trains about twice as fast on a CPU. Parameter names are those of ``LlamaForCausalLM``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from overrefusal.bouncer.shape import Shape


class Block(nn.Module):
    """One decoder block: attention with rotary positions, then a gated MLP."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        d = shape.hidden
        self.heads = shape.heads
        self.eps = shape.eps
        self.input_layernorm = nn.Parameter(torch.ones(d))
        self.post_attention_layernorm = nn.Parameter(torch.ones(d))
        self.q_proj = nn.Linear(d, d, bias=False)
        self.k_proj = nn.Linear(d, d, bias=False)
        self.v_proj = nn.Linear(d, d, bias=False)
        self.o_proj = nn.Linear(d, d, bias=False)
        self.gate_proj = nn.Linear(d, shape.mlp, bias=False)
        self.up_proj = nn.Linear(d, shape.mlp, bias=False)
        self.down_proj = nn.Linear(shape.mlp, d, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
        """``x`` is (rows, tokens, hidden); so is what comes back first. The second are the
        MLP's inner activations, (rows, tokens, mlp)."""
        rows, tokens, d = x.shape
        h = F.rms_norm(x, (d,), self.input_layernorm, self.eps)

        def split(y: Tensor) -> Tensor:
            return y.view(rows, tokens, self.heads, -1).transpose(1, 2)

        q = _rotate(split(self.q_proj(h)), cos, sin)
        k = _rotate(split(self.k_proj(h)), cos, sin)
        a = F.scaled_dot_product_attention(q, k, split(self.v_proj(h)), is_causal=True)
        x = x + self.o_proj(a.transpose(1, 2).reshape(rows, tokens, d))
        h = F.rms_norm(x, (d,), self.post_attention_layernorm, self.eps)
        inner: Tensor = F.silu(self.gate_proj(h)) * self.up_proj(h)
        return x + self.down_proj(inner), inner


class TorchLlama(nn.Module):
    """Right-padded token ids to hidden states or logits."""

    cos: Tensor
    sin: Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.Parameter(torch.ones(shape.hidden))
        self.lm_head = nn.Linear(shape.hidden, shape.vocab, bias=False)
        angle = torch.outer(
            torch.arange(shape.positions).float(),
            1.0 / shape.rope_theta ** (torch.arange(0, shape.head, 2).float() / shape.head),
        )
        self.register_buffer("cos", torch.cat([angle.cos()] * 2, dim=-1), persistent=False)
        self.register_buffer("sin", torch.cat([angle.sin()] * 2, dim=-1), persistent=False)
        for parameter in self.parameters():
            if parameter.dim() == 2:
                nn.init.normal_(parameter, std=0.02 if parameter.shape[0] == shape.vocab else 0.05)

    def read(self, ids: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The residual stream after the block ``shape.writer``, and that block's inner
        activations; (rows, tokens, hidden) and (rows, tokens, mlp).

        ``noise`` is added before each block, in units of the stream's length at each token;
        (writer + 1, rows, hidden).
        """
        x = self.embed_tokens(ids)
        inner = x
        for i, layer in enumerate(self.layers[: self.shape.writer + 1]):
            if noise is not None:
                x = x + x.detach().norm(dim=-1, keepdim=True) * noise[i, :, None]
            x, inner = layer(x, self.cos[: ids.shape[1]], self.sin[: ids.shape[1]])
        return x, inner

    def answer(self, x: Tensor) -> Tensor:
        """The stream after the last block from that after ``shape.writer``."""
        for layer in self.layers[self.shape.writer + 1 :]:
            x, _ = layer(x, self.cos[: x.shape[1]], self.sin[: x.shape[1]])
        return x

    def logits(self, x: Tensor) -> Tensor:
        """What follows, from the residual stream after the last block; (..., vocabulary)."""
        x = F.rms_norm(x, (self.shape.hidden,), self.norm, self.shape.eps)
        out: Tensor = self.lm_head(x)
        return out


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = x.shape[-1] // 2
    turned = torch.cat([-x[..., half:], x[..., :half]], dim=-1)
    return x * cos + turned * sin
