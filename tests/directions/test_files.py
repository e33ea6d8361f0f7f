"""Files carry their provenance, and are refused for another model."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from safetensors.torch import save_file  # noqa: E402

from overrefusal.directions.files import (  # noqa: E402
    load_direction,
    load_extraction,
    save_direction,
    save_extraction,
)
from overrefusal.errors import OverrefusalError  # noqa: E402
from tests.directions.conftest import PLAN  # noqa: E402


def test_an_extraction_comes_back(extraction, provenance, subject, tmp_path):
    path = tmp_path / "found.safetensors"
    save_extraction(path, extraction, provenance, subject.positions)
    again, origin, positions = load_extraction(path)
    assert torch.equal(again.moments.means, extraction.moments.means)
    assert again.moments.groups == extraction.moments.groups
    assert again.moments.counts == extraction.moments.counts
    assert (again.tokens, again.validation) == (extraction.tokens, extraction.validation)
    assert (origin, positions) == (provenance, subject.positions)
    assert origin.plan == PLAN


def test_a_direction_comes_back_with_its_provenance(direction_file, tmp_path):
    path = tmp_path / "direction.safetensors"
    save_direction(path, direction_file)
    again = load_direction(path)
    assert torch.equal(again.direction.vector, direction_file.direction.vector)
    assert torch.equal(again.direction.plain, direction_file.direction.plain)
    assert torch.equal(again.surgical, direction_file.surgical)
    assert again.selection == direction_file.selection
    assert again.provenance == direction_file.provenance
    assert again.provenance.identity.startswith("hf/bouncer@sha256:")
    assert len(again.provenance.suite_hash) == 64
    assert again.pictures == direction_file.pictures
    assert again.position.name == direction_file.direction.position


def test_a_direction_of_another_model_or_layer_count_is_an_error(provenance, subject, tmp_path):
    path = tmp_path / "d.safetensors"
    provenance.check(subject, path)
    precision = replace(provenance, identity=provenance.identity.replace("float32", "bfloat16"))
    precision.check(subject, path)
    with pytest.raises(OverrefusalError, match=r"d\.safetensors: .* 5 layers .* has 4 of width"):
        replace(provenance, layers=5).check(subject, path)
    other = replace(provenance, identity="hf/bouncer:strict@sha256:0000,float32")
    with pytest.raises(OverrefusalError, match="is of hf/bouncer:strict@sha256:0000"):
        other.check(subject, path)
    adapted = replace(provenance, identity=f"{provenance.identity},adapter@sha256:1")
    with pytest.raises(OverrefusalError, match="not of hf/bouncer"):
        adapted.check(subject, path)


def test_another_suite_is_an_error(provenance, suite, tmp_path):
    provenance.check_suite(suite, tmp_path / "d.safetensors")
    with pytest.raises(OverrefusalError, match="a suite of hash 000000000000"):
        replace(provenance, suite_hash="0" * 64).check_suite(suite, tmp_path / "d.safetensors")


def test_other_files_are_errors_that_say_what_they_are(
    extraction, provenance, subject, direction_file, tmp_path
):
    extracted, selected = tmp_path / "e.safetensors", tmp_path / "d.safetensors"
    save_extraction(extracted, extraction, provenance, subject.positions)
    save_direction(selected, direction_file)
    with pytest.raises(OverrefusalError, match="no direction file, it is 'extraction'"):
        load_direction(extracted)
    with pytest.raises(OverrefusalError, match="no extraction file, it is 'direction'"):
        load_extraction(selected)
    foreign = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(2)}, foreign)
    with pytest.raises(OverrefusalError, match="it is not of this program"):
        load_direction(foreign)
    text = tmp_path / "text.safetensors"
    text.write_text("hello")
    with pytest.raises(OverrefusalError, match="not a safetensors file"):
        load_direction(text)
    with pytest.raises(OverrefusalError, match="no such file; `overrefusal direction select`"):
        load_direction(tmp_path / "none.safetensors")
