"""PEFT adapters (LoRA and its relatives) on a loaded model."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from overrefusal.errors import OverrefusalError
from overrefusal.models.payload import printable


def adapted(model: Any, name: str, *, merge: bool) -> tuple[Any, str]:
    """``model`` with the adapter in folder ``name`` or of that name on the hub; its identity.

    With ``merge`` the weights are changed once, and generation costs what it cost before.

    Raises ``OverrefusalError`` where peft is missing, there is no adapter, or it was made for a
    model of another shape.
    """
    from overrefusal.models.local.load import folder_hash

    try:
        import peft
    except ImportError:
        raise OverrefusalError(f"--adapter {name} needs peft: pip install peft") from None
    folder = _folder(name)
    try:
        base = json.loads((folder / "adapter_config.json").read_text("utf-8")).get(
            "base_model_name_or_path"
        )
    except (OSError, ValueError, AttributeError):
        raise OverrefusalError(
            f"--adapter {name}: no adapter_config.json that can be read, so it is no adapter"
        ) from None
    if not (folder / "adapter_model.safetensors").is_file():
        raise OverrefusalError(
            f"--adapter {name}: no adapter_model.safetensors (pickled weights are not read)"
        )
    try:
        with warnings.catch_warnings():
            # peft only warns of weights that found no place.
            warnings.filterwarnings("error", message=".*(missing|unexpected).*keys")
            whole: Any = peft.PeftModel.from_pretrained(model, str(folder))
    except (ValueError, RuntimeError, KeyError, TypeError, UserWarning) as error:
        raise OverrefusalError(
            f"--adapter {name} was made for another model ({base or 'unnamed'}): {printable(error)}"
        ) from None
    if merge:
        whole = whole.merge_and_unload()
    return whole, f"adapter sha256:{folder_hash(folder)}"


def _folder(name: str) -> Path:
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(name, allow_patterns=["adapter_*"]))
    except (OSError, ValueError, HFValidationError, HfHubHTTPError) as error:
        raise OverrefusalError(
            f"--adapter {name}: no such folder, and the hub does not give it ({printable(error)})"
        ) from None
