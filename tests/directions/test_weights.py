"""The weight edit equals the ablation, or is refused; and it leaves no trace."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from overrefusal.activations.edit import Ablation, editing  # noqa: E402
from overrefusal.activations.structure import find_structure  # noqa: E402
from overrefusal.directions.weights import ablated_weights  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from tests.activations.tiny import CONFIGS, prompts, tiny  # noqa: E402

IDS = torch.tensor(prompts(12, 12))
BEHIND_A_NORM = {"gemma2", "gemma3", "olmo2"}
"""What these write goes through a norm first; Bloom's embedding too."""


def logits(model):
    with torch.inference_mode():
        return model(IDS, use_cache=False).logits


def direction(seed=0):
    return torch.randn(32, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - BEHIND_A_NORM - {"bloom"}))
def test_edited_weights_equal_the_ablation_and_are_restored(name):
    """Fused experts among them: nothing that writes is skipped."""
    model = tiny(name)
    structure = find_structure(model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    plain = logits(model)
    with editing(structure, Ablation(direction())):
        wanted = logits(model)
    with ablated_weights(model, structure, direction()):
        found = logits(model)
    assert (wanted - plain).abs().max() > 0.01
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(logits(model), plain)


@pytest.mark.parametrize("name", sorted(BEHIND_A_NORM | {"bloom"}))
def test_weights_behind_a_norm_are_refused_and_left_alone(name):
    model = tiny(name)
    plain = logits(model)
    with (
        pytest.raises(OverrefusalError, match="equal the ablation"),
        ablated_weights(model, find_structure(model), direction()),
    ):
        pass
    assert torch.equal(logits(model), plain)


def test_experts_that_no_name_tells_are_an_error_and_not_skipped(monkeypatch):
    """Fused mixture-of-experts weights silently skipped."""
    from overrefusal.directions import weights

    monkeypatch.setattr(weights, "WRITERS", weights.WRITERS - {"down_proj"})
    model = tiny("mixtral")
    plain = logits(model)
    with (
        pytest.raises(OverrefusalError, match="MixtralSparseMoeBlock writes"),
        ablated_weights(model, find_structure(model), direction()),
    ):
        pass
    assert torch.equal(logits(model), plain)


def test_some_missed_weights_are_noticed(monkeypatch):
    from overrefusal.directions import weights

    def some(model, structure):
        return list(weights.__dict__["_all"](model, structure))[:-1]

    monkeypatch.setattr(weights, "_all", weights._writers, raising=False)
    monkeypatch.setattr(weights, "_writers", some)
    model = tiny("llama")
    with (
        pytest.raises(OverrefusalError, match="logits differ by"),
        ablated_weights(model, find_structure(model), direction()),
    ):
        pass


def test_a_tied_head_keeps_its_weights_and_is_tied_again():
    import transformers

    from tests.activations.tiny import SIZE

    torch.manual_seed(0)
    config = transformers.LlamaConfig(**SIZE, tie_word_embeddings=True)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    structure = find_structure(model)
    with editing(structure, Ablation(direction())):
        wanted = logits(model)
    with ablated_weights(model, structure, direction()):
        torch.testing.assert_close(logits(model), wanted, rtol=1e-3, atol=1e-4)
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_an_exception_inside_restores_the_weights():
    model = tiny("gpt2")
    plain = logits(model)
    with pytest.raises(KeyError), ablated_weights(model, find_structure(model), direction()):
        raise KeyError
    assert torch.equal(logits(model), plain)
