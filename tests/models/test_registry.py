"""Specs become models, and mistakes in them one clear line."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest

from overrefusal.errors import OverrefusalError
from overrefusal.models import registry
from overrefusal.models.http import HttpModel
from overrefusal.models.openai import endpoint_wire
from overrefusal.models.protocol import Model
from overrefusal.models.registry import KINDS, open_model
from tests.models.asking import KEY


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "ANTHROPIC_API_KEY",
        "GEMINI_API_KEY",
        "GOOGLE_API_KEY",
        "AZURE_OPENAI_API_KEY",
        "AZURE_OPENAI_AD_TOKEN",
        "AZURE_OPENAI_ENDPOINT",
        "ENDPOINT_API_KEY",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("spec", ["gpt-4o", "", "/", "opena/gpt-4o", "bouncers"])
def test_unknown_kinds_list_the_known(spec: str) -> None:
    with pytest.raises(OverrefusalError) as caught:
        open_model(spec)
    assert all(example in str(caught.value) for example in KINDS.values())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [k for k in KINDS if k != "bouncer"])
def test_a_name_is_needed(kind: str) -> None:
    with pytest.raises(OverrefusalError, match="no name after the kind"):
        open_model(f"{kind}/")


@pytest.mark.parametrize(
    ("spec", "variable"),
    [
        ("openai/m", "OPENAI_API_KEY"),
        ("anthropic/m", "ANTHROPIC_API_KEY"),
        ("google/m", "GEMINI_API_KEY or GOOGLE_API_KEY"),
    ],
)
def test_a_missing_key_is_named(spec: str, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OverrefusalError, match=variable):
        open_model(spec)
    monkeypatch.setenv(variable.split()[0], "two\nlines")
    with pytest.raises(OverrefusalError, match="line break"):
        open_model(spec)
    monkeypatch.setenv(variable.split()[0], f"{KEY}\n")
    assert open_model(spec).spec == spec


def test_azure_needs_its_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OverrefusalError, match="AZURE_OPENAI_ENDPOINT"):
        open_model("azure/dep", api_key=KEY)
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://acme.openai.azure.com/")
    with pytest.raises(OverrefusalError, match="AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN"):
        open_model("azure/dep")
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "ey.token")
    assert open_model("azure/dep").identity == "azure/dep@https://acme.openai.azure.com"


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://x/v1", "http://", "http://[::1", "http://x:99999", "v1"]
)
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(OverrefusalError, match="is no address"):
        open_model("endpoint/m", base_url=url)


def test_an_endpoint_needs_an_address() -> None:
    with pytest.raises(OverrefusalError, match="--base-url"):
        open_model("endpoint/m")


def test_identity_tells_servers_apart() -> None:
    one = open_model("endpoint/m", base_url="http://127.0.0.1:8000/v1/")
    other = open_model("endpoint/m", base_url="http://127.0.0.1:8001/v1")
    assert one.identity == "endpoint/m@http://127.0.0.1:8000/v1"
    assert other.identity != one.identity
    assert open_model("openai/m", api_key=KEY).identity == "openai/m"
    assert not one.keyed_by_id


def test_a_base_url_where_none_is_used() -> None:
    with pytest.raises(OverrefusalError, match="takes no base URL"):
        open_model("replay/x.jsonl", base_url="http://127.0.0.1:1")


@pytest.mark.parametrize("option", ["concurrency", "rpm", "tpm", "timeout", "max_attempts"])
def test_limits_are_checked(option: str) -> None:
    nothing: Any = {option: 0}
    with pytest.raises(OverrefusalError, match=option):
        open_model("openai/m", api_key=KEY, **nothing)


def test_kinds_of_other_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    acme = HttpModel(endpoint_wire("m", "http://127.0.0.1:9/v1"))

    def open_acme(spec: str, **options: Any) -> Model:
        opened.append((spec, options["concurrency"], options["base_url"]))
        return acme

    monkeypatch.setattr(sys.modules[__name__], "open_acme", open_acme, raising=False)
    entry = EntryPoint("acme", f"{__name__}:open_acme", registry.ENTRY_POINTS)

    def installed(group: str, name: str) -> EntryPoints:
        return EntryPoints([entry]).select(group=group, name=name)

    monkeypatch.setattr("importlib.metadata.entry_points", installed)
    assert open_model("acme/m", base_url="http://x", concurrency=3) is acme
    assert opened == [("acme/m", 3, "http://x")]
    with pytest.raises(OverrefusalError, match="unknown model"):
        open_model("acne/m")


def test_the_registry_loads_nothing_heavy() -> None:
    code = (
        "import sys, overrefusal.models.registry, overrefusal.models.variants;"
        "heavy = {'torch', 'transformers', 'numpy', 'scipy', 'aiohttp', 'botocore', 'pyarrow'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
