"""Random models of a few thousand weights, and a tokenizer of bytes."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="local models need torch")
transformers = pytest.importorskip("transformers", reason="local models need transformers")

from overrefusal.models.local.load import Loaded  # noqa: E402

TEMPLATE = (
    "{% for m in messages %}{% if m.role == 'tool' %}{{ raise_exception('no tools here') }}"
    "{% endif %}<|{{ m.role }}|>{{ m.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SHAPE = {
    "vocab_size": 261,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 160,
    "initializer_range": 0.4,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "bos_token_id": None,
}


def make_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<pad>", "<end>", "<|user|>", "<|assistant|>", "<|system|>"]
    vocab = {token: i for i, token in enumerate([*special, *letters])}
    backend = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        eos_token="<end>",
        additional_special_tokens=special[2:],
        chat_template=TEMPLATE,
    )


def make_model(kind: str = "llama", **changes: Any) -> Any:
    """A model of that architecture, its weights drawn from seed 5."""
    torch.manual_seed(5)
    config = {
        "llama": lambda: transformers.LlamaConfig(**SHAPE | changes),
        "qwen2": lambda: transformers.Qwen2Config(**SHAPE | changes),
        "mistral": lambda: transformers.MistralConfig(**SHAPE | {"sliding_window": 12} | changes),
        "gemma2": lambda: transformers.Gemma2Config(
            **SHAPE | {"sliding_window": 12, "head_dim": 8, "query_pre_attn_scalar": 8} | changes
        ),
        "gpt2": lambda: transformers.GPT2Config(
            vocab_size=SHAPE["vocab_size"],
            n_embd=32,
            n_layer=2,
            n_head=4,
            n_positions=160,
            initializer_range=0.4,
            eos_token_id=1,
            bos_token_id=None,
            **changes,
        ),
        "mamba": lambda: transformers.MambaConfig(
            vocab_size=SHAPE["vocab_size"],
            hidden_size=32,
            num_hidden_layers=2,
            state_size=4,
            initializer_range=0.4,
            eos_token_id=1,
            bos_token_id=None,
            pad_token_id=0,
            **changes,
        ),
    }[kind]()
    return transformers.AutoModelForCausalLM.from_config(config).eval()


def make_loaded(kind: str = "llama", **changes: Any) -> Loaded:
    return Loaded(f"hf/{kind}", f"hf/{kind}@test", make_model(kind, **changes), make_tokenizer())
