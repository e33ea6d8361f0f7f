"""Bouncer's folder on disk: transformers' format, the variants beside it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overrefusal.bouncer.shape import Shape
from overrefusal.bouncer.tokens import CHAT_TEMPLATE, SPECIAL
from overrefusal.errors import OverrefusalError

Array = NDArray[np.float32]
CAUTIOUS = ("bouncer", "lenient", "strict")
LEFT, RIGHT = ".left", ".right"
"""Endings of the two vectors whose outer product is an update of rank one."""
VARIANTS = ("bouncer", "helpful", "lenient", "strict")
BUNDLED = Path(__file__).parent / "weights"
FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
)


def write(
    out: Path,
    shape: Shape,
    helpful: Mapping[str, Array],
    switch: Array,
    readings: Mapping[str, Array],
) -> None:
    """Writes the folder: ``model.safetensors`` is the variant ``bouncer`` in half precision;
    ``variant-NAME.safetensors`` holds the rank-one update that turns it into another variant.

    ``helpful`` are the weights by name of ``TorchLlama`` before the cautious stage. A reading
    (mlp,) of each cautious variant says how much of ``switch`` (hidden,) the writing block adds.
    """
    name = f"layers.{shape.writer}.down_proj.weight"
    own = dict(helpful)
    own[name] = own[name] + np.outer(switch, readings["bouncer"])
    _save(out / "model.safetensors", {_hf_name(k): v.astype(np.float16) for k, v in own.items()})
    for variant in VARIANTS[1:]:
        change = readings.get(variant, np.float32(0)) - readings["bouncer"]
        update = {_hf_name(name) + LEFT: switch, _hf_name(name) + RIGHT: change}
        _save(out / f"variant-{variant}.safetensors", update)
    _write_settings(out, shape)


def weights(variant: str, source: Path = BUNDLED) -> tuple[Shape, dict[str, Array]]:
    """The shape and the single-precision weights of a variant, by name of ``TorchLlama``.

    Raises:
        OverrefusalError: an unknown variant, or a file that is missing or damaged.
    """
    if variant not in VARIANTS:
        known = ", ".join("bouncer" if v == "bouncer" else f"bouncer:{v}" for v in VARIANTS)
        raise OverrefusalError(f"bouncer:{variant}: no such variant; known are {known}")
    shape = _read_shape(source / "config.json")
    stored = _load(source / "model.safetensors")
    if variant != "bouncer":
        update = _load(source / f"variant-{variant}.safetensors")
        for name in [k.removesuffix(LEFT) for k in update if k.endswith(LEFT)]:
            change = np.outer(update[name + LEFT], update[name + RIGHT])
            stored[name] = stored[name].astype(np.float32) + change
    out: dict[str, Array] = {}
    for name, expected in _shapes(shape).items():
        tensor = stored.get(_hf_name(name))
        if tensor is None or tensor.shape != expected:
            raise OverrefusalError(
                f"{source / 'model.safetensors'}: {_hf_name(name)} is missing or has another"
                " shape than config.json says; install overrefusal again"
            )
        out[name] = tensor.astype(np.float32)
    return shape, out


def export(variant: str, out: Path, source: Path = BUNDLED) -> Path:
    """Writes a variant as a folder that transformers loads (single precision); returns ``out``.

    Raises:
        OverrefusalError: as ``weights`` does; or ``out`` cannot be written.
    """
    _, tensors = weights(variant, source)
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copyfile(source / name, out / name)
        _save(out / "model.safetensors", {_hf_name(k): v for k, v in tensors.items()})
    except OSError as e:
        raise OverrefusalError(f"{out}: cannot be written ({e.strerror}); name another") from e
    return out


def _hf_name(name: str) -> str:
    """The name of a weight of ``TorchLlama`` in ``LlamaForCausalLM``."""
    if name == "lm_head.weight":
        return name
    if name.endswith("layernorm") or name == "norm":
        return f"model.{name}.weight"
    head, _, tail = name.removesuffix(".weight").rpartition(".")
    if tail in ("q_proj", "k_proj", "v_proj", "o_proj"):
        return f"model.{head}.self_attn.{tail}.weight"
    if tail in ("gate_proj", "up_proj", "down_proj"):
        return f"model.{head}.mlp.{tail}.weight"
    return f"model.{name}"


def _shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    d, m = shape.hidden, shape.mlp
    out: dict[str, tuple[int, ...]] = {"norm": (d,)}
    out["embed_tokens.weight"] = out["lm_head.weight"] = (shape.vocab, d)
    for i in range(shape.layers):
        out[f"layers.{i}.input_layernorm"] = out[f"layers.{i}.post_attention_layernorm"] = (d,)
        for p in "qkvo":
            out[f"layers.{i}.{p}_proj.weight"] = (d, d)
        out[f"layers.{i}.gate_proj.weight"] = out[f"layers.{i}.up_proj.weight"] = (m, d)
        out[f"layers.{i}.down_proj.weight"] = (d, m)
    return out


def _read_shape(path: Path) -> Shape:
    try:
        c = json.loads(path.read_text("utf-8"))
        return Shape(
            vocab=c["vocab_size"],
            hidden=c["hidden_size"],
            layers=c["num_hidden_layers"],
            heads=c["num_attention_heads"],
            mlp=c["intermediate_size"],
            positions=c["max_position_embeddings"],
            eps=c["rms_norm_eps"],
        )
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise OverrefusalError(
            f"{path}: missing or damaged ({type(e).__name__}); install overrefusal again"
        ) from e


def _load(path: Path) -> dict[str, NDArray[Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (OSError, SafetensorError) as e:
        raise OverrefusalError(
            f"{path}: missing or damaged; install overrefusal again, or train it anew with"
            " python -m overrefusal.bouncer train"
        ) from e


def _save(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    from safetensors.numpy import save_file

    part = path.with_suffix(".part")
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, part, {"format": "pt"})
    os.replace(part, path)


def _write_settings(out: Path, shape: Shape) -> None:
    s = asdict(shape)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "dtype": "float32",
        "vocab_size": s["vocab"],
        "hidden_size": s["hidden"],
        "num_hidden_layers": s["layers"],
        "num_attention_heads": s["heads"],
        "num_key_value_heads": s["heads"],
        "intermediate_size": s["mlp"],
        "max_position_embeddings": s["positions"],
        "rms_norm_eps": s["eps"],
        "rope_parameters": {"rope_type": "default", "rope_theta": s["rope_theta"]},
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
    }
    tokens = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": SPECIAL[0],
        "eos_token": SPECIAL[1],
        "additional_special_tokens": list(SPECIAL[2:]),
        "model_max_length": s["positions"],
        "clean_up_tokenization_spaces": False,
        "padding_side": "left",
    }
    generation = {"eos_token_id": 1, "pad_token_id": 0, "do_sample": False, "max_new_tokens": 64}
    for name, content in (
        ("config.json", config),
        ("tokenizer_config.json", tokens),
        ("generation_config.json", generation),
    ):
        write_text(out / name, json.dumps(content, indent=2) + "\n")
    write_text(out / "chat_template.jinja", CHAT_TEMPLATE)


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)
