"""Tiny randomly initialised models of many architectures."""

import functools

import torch
import transformers as hf

SIZE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MOE = {"num_experts_per_tok": 2, "moe_intermediate_size": 24}


def _old(**names):
    return {"vocab_size": 97, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0} | names


CONFIGS = {
    "llama": (hf.LlamaConfig, SIZE),
    "qwen2": (hf.Qwen2Config, SIZE),
    "qwen3": (hf.Qwen3Config, SIZE | {"head_dim": 8}),
    "qwen3_moe": (
        hf.Qwen3MoeConfig,
        SIZE | MOE | {"num_experts": 4, "head_dim": 8, "mlp_only_layers": [1]},
    ),
    "mistral": (hf.MistralConfig, SIZE),
    "mixtral": (hf.MixtralConfig, SIZE | {"num_local_experts": 4, "num_experts_per_tok": 2}),
    "gemma2": (hf.Gemma2Config, SIZE | {"head_dim": 8, "sliding_window": 8}),
    "gemma3": (hf.Gemma3TextConfig, SIZE | {"head_dim": 8, "sliding_window": 8}),
    "phi3": (hf.Phi3Config, SIZE),
    "olmo2": (hf.Olmo2Config, SIZE),
    "granite": (hf.GraniteConfig, SIZE | {"residual_multiplier": 0.3}),
    "cohere": (hf.CohereConfig, SIZE),
    "gpt_oss": (
        hf.GptOssConfig,
        SIZE | {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8},
    ),
    "deepseek_v3": (
        hf.DeepseekV3Config,
        SIZE
        | MOE
        | {
            "num_key_value_heads": 4,
            "n_routed_experts": 4,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
            "kv_lora_rank": 8,
            "q_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 4,
            "v_head_dim": 8,
        },
    ),
    "gpt_neox": (
        hf.GPTNeoXConfig,
        {k: v for k, v in SIZE.items() if k != "num_key_value_heads"},
    ),
    "falcon": (
        hf.FalconConfig,
        _old(
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            new_decoder_architecture=True,
            num_kv_heads=2,
        ),
    ),
    "gpt2": (hf.GPT2Config, _old(n_embd=32, n_layer=3, n_head=4, n_positions=64)),
    "bloom": (hf.BloomConfig, _old(hidden_size=32, n_layer=3, n_head=4)),
}


@functools.cache
def _build(name, dtype):
    kind, options = CONFIGS[name]
    torch.manual_seed(1)
    model = hf.AutoModelForCausalLM.from_config(kind(**options), dtype=dtype)
    # As initialised, biases are zero and norms are ones, which would hide that they are left out.
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            parameter.add_(noise * (0.1 if parameter.dim() == 1 else 0.15))
    return model.eval()


def tiny(name, dtype=torch.float32):
    """The model of that architecture; shared, so that tests leave it as it was."""
    return _build(name, dtype)


def prompts(*lengths, seed=0):
    """Random token ids of the given lengths, without special tokens."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(3, 97, (n,), generator=generator).tolist() for n in lengths]


def hooks(model):
    """How many hooks of ours there are; transformers keeps some of its own."""
    found = [
        h
        for m in model.modules()
        for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())
    ]
    return sum(h.__module__.startswith("overrefusal") for h in found)
