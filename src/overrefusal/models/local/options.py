"""How the weights of a local model are loaded."""

from __future__ import annotations

from dataclasses import dataclass

DTYPES = ("auto", "float32", "bfloat16", "float16")
QUANTIZATIONS = ("8bit", "4bit")


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """The options of :func:`overrefusal.models.local.load.load`; all change answers."""

    device: str | None = None
    dtype: str | None = None
    quantize: str | None = None
    adapter: str | None = None
