"""From a name or folder to weights and tokenizer in memory."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overrefusal.errors import OverrefusalError
from overrefusal.models.payload import printable

if TYPE_CHECKING:
    import torch

DTYPES = ("auto", "float32", "bfloat16", "float16")
QUANTIZATIONS = ("8bit", "4bit")
_FILES = (".safetensors", ".json", ".jinja", ".model")
_ERRORS = (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, AttributeError)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A chat model and its tokenizer, in evaluation mode."""

    spec: str
    """``hf/NAME``."""
    identity: str
    """The spec with all that changes answers: the weights' version, precision, adapter."""
    model: Any
    """As ``AutoModelForCausalLM`` gives it."""
    tokenizer: Any
    """It has a chat template and a padding token."""


def load(
    name: str,
    *,
    device: str | None = None,
    dtype: str | None = None,
    quantize: str | None = None,
    adapter: str | None = None,
) -> Loaded:
    """The model in folder ``name``, or ``name`` on the Hugging Face hub or in its cache.

    ``bouncer`` and ``bouncer:VARIANT`` are the bundled model. ``device`` is a torch device, by
    default a GPU where there is one; ``auto`` spreads the layers over all GPUs. ``dtype`` is one
    of ``DTYPES``, by default float32 on the CPU and the checkpoint's own precision on a GPU;
    ``quantize`` one of ``QUANTIZATIONS``. ``adapter`` is the folder or hub name of a PEFT adapter,
    merged into the weights unless they are quantized. Weights are read from safetensors only, and
    no code that comes with a model is run.

    Raises ``OverrefusalError`` where something is not installed, no chat model can be loaded, or
    the adapter does not fit it.
    """
    spec = f"hf/{name}"
    try:
        import torch  # noqa: F401 - tells which of the two is missing
        import transformers
    except ImportError as error:
        raise OverrefusalError(
            f"{spec} needs {error.name}: pip install 'overrefusal[local]'"
        ) from None
    _check("--dtype", dtype, DTYPES)
    _check("--quantize", quantize, QUANTIZATIONS)
    place = _place(device, quantize)
    settings: dict[str, Any] = {"dtype": _precision(dtype, place, quantize)}
    if place is None or quantize:
        _need("accelerate", f"{spec}: --device auto" if place is None else f"{spec}: --quantize")
        settings["device_map"] = "auto" if place is None else {"": place}
    if quantize:
        _need("bitsandbytes", f"{spec}: --quantize {quantize}")
        configs: Any = transformers.BitsAndBytesConfig
        settings["quantization_config"] = configs(
            load_in_4bit=quantize == "4bit",
            load_in_8bit=quantize == "8bit",
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=settings["dtype"],
        )
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        source = _source(name, Path(scratch))
        try:
            tokenizers: Any = transformers.AutoTokenizer
            models: Any = transformers.AutoModelForCausalLM
            tokenizer = tokenizers.from_pretrained(source, trust_remote_code=False)
            model = models.from_pretrained(
                source, use_safetensors=True, trust_remote_code=False, **settings
            )
            if "device_map" not in settings:
                model = model.to(place)
        except _ERRORS as error:
            raise OverrefusalError(f"{spec} cannot be loaded: {printable(error)}") from None
        if Path(source).is_dir():
            version = f"sha256:{folder_hash(Path(source))}"
        else:
            version = str(getattr(model.config, "_commit_hash", None))
    _prepare(tokenizer, spec)
    precision = quantize or str(model.dtype).removeprefix("torch.")
    identity = f"{spec}@{version},{precision}"
    if adapter is not None:
        from overrefusal.models.local.adapters import adapted

        model, adapter_identity = adapted(model, adapter, merge=quantize is None)
        identity += f",{adapter_identity}"
    model.eval()
    return Loaded(spec, identity, model, tokenizer)


def _check(option: str, given: str | None, known: tuple[str, ...]) -> None:
    if given is not None and given not in known:
        raise OverrefusalError(f"{option} {given}: give one of {', '.join(known)}")


def _need(module: str, what: str) -> None:
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise OverrefusalError(f"{what} needs {module}: pip install {module}")


def _place(device: str | None, quantize: str | None) -> torch.device | None:
    """Where the whole model goes; ``None`` to spread it."""
    import torch

    if device == "auto":
        return None
    try:
        place = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    except RuntimeError:
        raise OverrefusalError(
            f"--device {device}: give cpu, cuda, cuda:1, mps, or auto to use all GPUs"
        ) from None
    seen = torch.cuda.device_count()
    if place.type == "cuda" and (place.index or 0) >= seen:
        raise OverrefusalError(f"--device {device}: torch sees {seen} GPUs here")
    if place.type == "mps" and not torch.backends.mps.is_available():
        raise OverrefusalError(f"--device {device}: torch sees no Apple GPU here")
    return place


def _precision(dtype: str | None, place: torch.device | None, quantize: str | None) -> Any:
    import torch

    if dtype is not None and dtype != "auto":
        return getattr(torch, dtype)
    if dtype is None and place is not None and place.type == "cpu":
        return torch.float32
    return torch.bfloat16 if quantize else "auto"


def _source(name: str, scratch: Path) -> str:
    """What transformers is to load: ``name``, or the bundled model written to ``scratch``."""
    kind, _, variant = name.partition(":")
    if kind == "bouncer":
        from overrefusal.bouncer.folder import export

        return str(export(variant or "bouncer", scratch))
    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise OverrefusalError(f"hf/{name}: the folder has no config.json, so it holds no model")
    return name


def _prepare(tokenizer: Any, spec: str) -> None:
    if not tokenizer.chat_template:
        raise OverrefusalError(
            f"{spec}: its tokenizer has no chat template, so it is no chat model: name an "
            "instruction-tuned model, or add chat_template.jinja to its folder"
        )
    tokenizer.padding_side = "left"
    if tokenizer.pad_token_id is None:
        # Padding is masked, so any token will do.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)


def folder_hash(folder: Path) -> str:
    """One hash over all files that decide what the model in ``folder`` answers."""
    total = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in _FILES and path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            total.update(f"{path.name} {digest}\n".encode())
    return total.hexdigest()[:16]
