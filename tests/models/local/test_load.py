"""Loading: identity, precision, adapters, and what cannot be loaded."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="local models need torch")
transformers = pytest.importorskip("transformers", reason="local models need transformers")

from overrefusal.bouncer.folder import export  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from overrefusal.models.local.generate import generate  # noqa: E402
from overrefusal.models.local.load import load  # noqa: E402
from tests.models.local.tiny import make_model, make_tokenizer  # noqa: E402


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("llama")
    make_tokenizer().save_pretrained(path)
    make_model().save_pretrained(path)
    return path


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_identity_follows_the_weights_and_the_precision(copy: Path) -> None:
    one = load(str(copy), device="cpu")
    assert one.identity == load(str(copy), device="cpu").identity
    assert one.model.dtype == torch.float32
    half = load(str(copy), device="cpu", dtype="bfloat16")
    assert half.model.dtype == torch.bfloat16
    assert half.identity != one.identity
    changed = make_model()
    with torch.no_grad():
        changed.lm_head.weight[0, 0] += 1
    changed.save_pretrained(copy)
    assert load(str(copy), device="cpu").identity != one.identity


def test_the_bundled_model_loads_by_name_as_from_its_exported_folder(tmp_path: Path) -> None:
    named = load("bouncer:strict")
    exported = load(str(export("strict", tmp_path / "strict")))
    assert named.spec == "hf/bouncer:strict"
    assert named.identity.split("@")[1] == exported.identity.split("@")[1]
    assert load("bouncer").identity.split("@")[1] != named.identity.split("@")[1]
    prompt = named.tokenizer("<|user|>How do I kill a process?<|end|><|assistant|>")["input_ids"]
    assert generate(named, [prompt], 30) == generate(exported, [prompt], 30)
    with pytest.raises(OverrefusalError, match="no such variant"):
        load("bouncer:rude")


def test_a_base_model_without_chat_template_is_named(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(OverrefusalError, match="chat template"):
        load(str(copy), device="cpu")


def test_a_tokenizer_without_padding_pads_all_the_same(copy: Path) -> None:
    config = json.loads((copy / "tokenizer_config.json").read_text())
    del config["pad_token"]
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    bare = transformers.AutoTokenizer.from_pretrained(copy)
    assert bare.pad_token is None
    loaded = load(str(copy), device="cpu")
    prompts = [[5, 6, 7, 8, 9], [10], [11, 12, 13]]
    assert generate(loaded, prompts, 9) == [generate(loaded, [p], 9)[0] for p in prompts]


def test_pickled_weights_are_not_read(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    torch.save(make_model().state_dict(), copy / "pytorch_model.bin")
    with pytest.raises(OverrefusalError, match="safetensors"):
        load(str(copy), device="cpu")


def test_damaged_weights_are_one_line(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"not weights at all")
    with pytest.raises(OverrefusalError, match="cannot be loaded") as caught:
        load(str(copy), device="cpu")
    assert "\n" not in str(caught.value)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(OverrefusalError, match=r"config\.json"):
        load(str(tmp_path))


def test_without_torch_the_extra_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(OverrefusalError, match=r"pip install 'overrefusal\[local\]'"):
        load(str(folder))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"device": "gpu"}, "--device gpu: give cpu"),
        ({"device": f"cuda:{torch.cuda.device_count()}"}, "torch sees"),
        ({"dtype": "int3"}, "--dtype int3: give one of auto, float32"),
        ({"quantize": "2bit"}, "--quantize 2bit: give one of 8bit, 4bit"),
    ],
)
def test_options_that_are_none(folder: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(OverrefusalError, match=said):
        load(str(folder), **options)


@pytest.mark.parametrize(
    ("options", "module"),
    [
        ({"device": "auto"}, "accelerate"),
        ({"quantize": "4bit", "device": "cpu"}, "accelerate"),
        ({"adapter": "."}, "peft"),
    ],
)
def test_what_is_not_installed_is_named(
    folder: Path, options: dict[str, str], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(OverrefusalError, match=f"needs {module}: pip install {module}"):
        load(str(folder), **options)


def make_adapter(folder: Path, out: Path, **settings: Any) -> Path:
    """A LoRA adapter whose weights are far from nothing."""
    peft = pytest.importorskip("peft", reason="adapters need peft")
    model = load(str(folder), device="cpu").model
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], **settings)
    torch.manual_seed(1)
    adapted = peft.get_peft_model(model, config)
    with torch.no_grad():
        for name, weight in adapted.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.3)
    adapted.save_pretrained(out)
    return out


def test_an_adapter_changes_answers_and_identity(folder: Path, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="adapters need peft")
    adapter = make_adapter(folder, tmp_path / "adapter")
    plain = load(str(folder), device="cpu")
    adapted = load(str(folder), device="cpu", adapter=str(adapter))
    assert adapted.identity.startswith(f"{plain.identity},adapter sha256:")
    ids = torch.tensor([[5, 6, 7]])
    theirs = peft.PeftModel.from_pretrained(load(str(folder), device="cpu").model, str(adapter))
    with torch.inference_mode():
        expected = theirs(ids).logits
        assert torch.allclose(adapted.model(ids).logits, expected, atol=1e-4)
        assert not torch.allclose(plain.model(ids).logits, expected, atol=1e-2)
    assert not any("lora" in name for name, _ in adapted.model.named_parameters())


def test_an_adapter_for_another_base_is_refused(folder: Path, tmp_path: Path) -> None:
    adapter = make_adapter(folder, tmp_path / "adapter")
    with pytest.raises(OverrefusalError, match="made for another model") as caught:
        load("bouncer", adapter=str(adapter))
    assert "\n" not in str(caught.value)
    deeper = tmp_path / "deeper"
    make_tokenizer().save_pretrained(deeper)
    make_model(num_hidden_layers=3).save_pretrained(deeper)
    with pytest.raises(OverrefusalError, match="made for another model"):
        load(str(deeper), adapter=str(adapter))
    other = tmp_path / "gpt2"
    make_tokenizer().save_pretrained(other)
    make_model("gpt2").save_pretrained(other)
    with pytest.raises(OverrefusalError, match="made for another model"):
        load(str(other), adapter=str(adapter))


def test_what_is_no_adapter(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="adapters need peft")
    with pytest.raises(OverrefusalError, match=r"adapter_config\.json"):
        load(str(folder), adapter=str(tmp_path))
    adapter = make_adapter(folder, tmp_path / "adapter")
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(OverrefusalError, match="pickled"):
        load(str(folder), adapter=str(adapter))


def test_layers_spread_over_devices_answer_the_same(folder: Path) -> None:
    pytest.importorskip("accelerate", reason="spreading needs accelerate")
    spread = load(str(folder), device="auto", dtype="float32")
    prompts = [[5, 6, 7, 8], [9], [10, 11]]
    assert generate(spread, prompts, 8) == generate(load(str(folder), device="cpu"), prompts, 8)
