"""`overrefusal direction` from end to end, and what it says to bad input."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from overrefusal.bouncer import suite as bouncer_suite
from overrefusal.bouncer.folder import export
from tests.directions.conftest import write_suite


def orf(*arguments, exit_code=0, **environment):
    done = subprocess.run(
        [sys.executable, "-m", "overrefusal", "direction", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100", **environment},
    )
    assert done.returncode == exit_code, done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("direction")
    write_suite(folder / "train.jsonl", bouncer_suite("train", 720, 5))
    write_suite(folder / "held.jsonl", bouncer_suite("heldout", 96, 5))
    orf(
        "extract", "bouncer", "--suite", folder / "train.jsonl", "--train", 24, "--validation", 6,
        "--out", folder / "found.safetensors",
    )  # fmt: skip
    orf(
        "select", folder / "found.safetensors", "--max-kl", 100, "--min-induction", -100,
        "--ablate-to", "plain", "--out", folder / "direction.safetensors",
    )  # fmt: skip
    return folder


def test_extract_says_what_it_found_as_json(folder):
    done = orf(
        "extract", "bouncer", "--suite", folder / "train.jsonl", "--train", 24, "--validation", 6,
        "--out", folder / "again.safetensors", "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["structure"] == "model.layers: 4 x LlamaDecoderLayer (self_attn, mlp)"
    assert found["positions"] == ["instruction", "post_1", "post_2"]
    assert found["groups"]["harmful"] > 10
    assert found["refusal_tokens"]["ids"]
    assert (folder / "again.safetensors").read_bytes() == (
        folder / "found.safetensors"
    ).read_bytes()


def test_select_prints_the_candidates_and_their_scores(folder):
    done = orf(
        "select", folder / "found.safetensors", "--max-kl", 100, "--min-induction", -100,
        "--every-score", "--out", folder / "zero.safetensors", "--json",
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["affine"] is False
    assert {c["layer"] for c in found["candidates"]} <= {0, 1, 2, 3}
    assert all(c["kl"] is not None for c in found["candidates"])
    table = orf(
        "select", folder / "found.safetensors", "--by", "cosmic", "--out", folder / "c.safetensors"
    )
    assert "COSMIC" in table.stdout
    assert "selected" in table.stdout


def test_test_reports_both_sides_and_writes_a_page(folder):
    arguments = (
        "test", folder / "direction.safetensors", "--suite", folder / "held.jsonl", "--limit", 4,
        "--random", 1, "--max-tokens", 16,
    )  # fmt: skip
    done = orf(*arguments, "--html", folder / "lab.html")
    assert "harmful refusal" in done.stdout
    assert "over-refusal" in done.stdout
    assert "transfer" in done.stdout
    assert (folder / "lab.html").read_text().startswith("<!doctype html>")
    found = json.loads(orf(*arguments, "--json").stdout)
    assert [row["name"] for row in found["rows"]][:3] == ["unedited", "ablation", "addition"]
    assert found["control"]["n"] == 1


def test_plot_writes_svg_only(folder):
    orf("plot", folder / "direction.safetensors", "--out", folder / "p.svg")
    assert (folder / "p.svg").read_text().startswith("<svg")
    done = orf("plot", folder / "direction.safetensors", "--out", folder / "p.png", exit_code=2)
    assert "name it" in done.stderr


def one_line(done):
    lines = [x for x in done.stderr.splitlines() if x.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_a_model_without_a_chat_template_is_an_error(folder):
    bare = export("bouncer", folder / "bare")
    (bare / "chat_template.jinja").unlink()
    done = orf("extract", bare, "--out", folder / "x.safetensors", exit_code=2)
    assert "no chat template" in one_line(done)
    assert not (folder / "x.safetensors").exists()


def test_a_suite_with_one_class_only_is_an_error(folder):
    plain = [p for p in bouncer_suite("train", 60, 1) if p.expected == "answer"]
    half = write_suite(folder / "half.jsonl", plain)
    done = orf(
        "extract", "bouncer", "--suite", half, "--out", folder / "x.safetensors", exit_code=2
    )
    assert "no harmful prompts" in one_line(done)
    done = orf("test", folder / "direction.safetensors", "--suite", half, exit_code=2)
    assert "no harmful prompts left in suite half" in one_line(done)


def test_no_prompts_left_names_the_filter(folder):
    done = orf(
        "extract", "bouncer:helpful", "--suite", folder / "train.jsonl", "--train", 6,
        "--validation", 2, "--out", folder / "x.safetensors", exit_code=2,
    )  # fmt: skip
    assert "the model answered 8 of them, which are dropped" in one_line(done)


def test_a_direction_from_another_model_is_an_error(folder):
    done = orf("test", folder / "direction.safetensors", "--model", "bouncer:strict", exit_code=2)
    assert "is of hf/bouncer@sha256:" in one_line(done)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--blocks", "model.layers"), "write three names"),
        (("--blocks", "model.layers,attn,mlp"), "no module 'attn'; it has self_attn, mlp"),
        (("--language", "it"), "language 'it'"),
        (("--suite", "nowhere"), "no suite and no file is called 'nowhere'"),
        (("--judge", "nobody"), "nobody"),
    ],
)
def test_wrong_options_are_one_clear_line(folder, arguments, message):
    done = orf("extract", "bouncer", *arguments, "--out", folder / "x.safetensors", exit_code=2)
    assert message in one_line(done)


def test_without_torch_it_says_what_to_install(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\n"
        "real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'torch' else real(name, *a)\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = orf("plot", "x.safetensors", "--out", "x.svg", exit_code=2, PYTHONPATH=path)
    assert "needs torch: pip install 'overrefusal[local]'" in one_line(done)
