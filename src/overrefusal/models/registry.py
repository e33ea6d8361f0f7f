"""From a spec such as ``openai/gpt-4o-mini`` to a model that answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from overrefusal.errors import OverrefusalError
from overrefusal.models.prices import Price
from overrefusal.models.protocol import Model

if TYPE_CHECKING:
    from overrefusal.models.wire import Wire

ENTRY_POINTS = "overrefusal.models"
"""The entry-point group by which other packages add kinds: ``KIND = module:open``, where ``open``
is called with the spec and the same options as :func:`open_model` and returns a ``Model``."""

KINDS = {
    "openai": "openai/gpt-4o-mini",
    "azure": "azure/DEPLOYMENT",
    "anthropic": "anthropic/claude-haiku-4-5",
    "google": "google/gemini-2.5-flash",
    "bedrock": "bedrock/amazon.nova-lite-v1:0",
    "endpoint": "endpoint/NAME with a base URL (vLLM, llama.cpp, Ollama, ...)",
    "hf": "hf/NAME-OR-DIR",
    "replay": "replay/FILE.jsonl",
    "inspect": "inspect/PROVIDER/NAME",
    "bouncer": "bouncer",
}
"""The kinds of models that come with the package, with an example of each."""

_REMOTE = ("openai", "azure", "anthropic", "google", "bedrock", "endpoint")


def open_model(
    spec: str,
    *,
    base_url: str | None = None,
    api_key: str | None = None,
    concurrency: int = 16,
    rpm: float | None = None,
    tpm: float | None = None,
    timeout: float = 120.0,
    max_attempts: int = 10,
    max_total: float = 600.0,
    price: Price | None = None,
) -> Model:
    """The model that ``spec`` names; nothing is asked yet, and nothing heavy is loaded for others.

    ``concurrency``, ``rpm`` (requests a minute), ``tpm`` (tokens a minute), ``timeout`` (seconds
    an attempt), ``max_attempts``, ``max_total`` (seconds for all attempts at a request) and
    ``price`` apply to models behind HTTP; ``base_url`` and ``api_key`` override the environment.

    Raises ``OverrefusalError`` for an unknown kind, a missing key, address, file or extra.
    """
    kind, _, name = spec.partition("/")
    if kind in _REMOTE:
        from overrefusal.models.http import HttpModel, Limits

        limits = Limits(
            concurrency=concurrency,
            rpm=rpm,
            tpm=tpm,
            timeout_s=timeout,
            max_attempts=max_attempts,
            max_total_s=max_total,
        )
        return HttpModel(_wire(kind, spec, name, base_url, api_key), limits, price=price)
    bundled = kind in KINDS or spec.startswith("bouncer:")
    if bundled and base_url is not None:
        raise OverrefusalError(f"{spec}: takes no base URL; endpoint/NAME does")
    if bundled:
        return _bundled(kind, spec, name, concurrency, timeout, max_attempts, max_total)
    return _third_party(
        kind,
        spec,
        base_url=base_url,
        api_key=api_key,
        concurrency=concurrency,
        rpm=rpm,
        tpm=tpm,
        timeout=timeout,
        max_attempts=max_attempts,
        max_total=max_total,
        price=price,
    )


def _bundled(
    kind: str,
    spec: str,
    name: str,
    concurrency: int,
    timeout: float,
    max_attempts: int,
    max_total: float,
) -> Model:
    if kind == "replay":
        from overrefusal.models.replay import ReplayModel

        return ReplayModel(_named(spec, name))
    if kind == "hf":
        from overrefusal.models.local.load import load
        from overrefusal.models.local.model import HfModel

        return HfModel(load(_named(spec, name)))
    if kind == "inspect":
        from overrefusal.models.inspect import InspectModel

        _named(spec, name)
        return InspectModel(
            spec,
            concurrency=concurrency,
            timeout_s=timeout,
            max_attempts=max_attempts,
            max_total_s=max_total,
        )
    from overrefusal.bouncer.model import BouncerModel

    return BouncerModel(spec)


def _wire(kind: str, spec: str, name: str, base_url: str | None, api_key: str | None) -> Wire:
    name = _named(spec, name)
    if kind == "anthropic":
        from overrefusal.models.anthropic import anthropic_wire

        return anthropic_wire(name, base_url, api_key)
    if kind == "google":
        from overrefusal.models.google import google_wire

        return google_wire(name, base_url, api_key)
    if kind == "bedrock":
        from overrefusal.models.bedrock import bedrock_wire

        return bedrock_wire(name, base_url, api_key)
    from overrefusal.models import openai

    if kind == "azure":
        return openai.azure_wire(name, base_url, api_key)
    if kind == "endpoint":
        return openai.endpoint_wire(name, base_url, api_key)
    return openai.openai_wire(name, base_url, api_key)


def _named(spec: str, name: str) -> str:
    if not name:
        raise OverrefusalError(
            f"{spec}: no name after the kind; write for example {KINDS[spec.partition('/')[0]]}"
        )
    return name


def _third_party(kind: str, spec: str, **options: Any) -> Model:
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINTS, name=kind):
        model: Model = entry.load()(spec, **options)
        return model
    kinds = "; ".join(KINDS.values())
    raise OverrefusalError(f"unknown model {spec!r}; write one of: {kinds}")
