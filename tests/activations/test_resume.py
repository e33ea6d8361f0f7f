"""Going on from a recorded stream gives what a whole pass gives."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from overrefusal.activations.edit import Addition, editing  # noqa: E402
from overrefusal.activations.record import reading  # noqa: E402
from overrefusal.activations.resume import resuming  # noqa: E402
from overrefusal.activations.structure import find_structure  # noqa: E402
from tests.activations.tiny import CONFIGS, hooks, prompts, tiny  # noqa: E402

IDS = torch.tensor(prompts(9, 9))


def logits(model):
    with torch.inference_mode():
        return model(IDS, use_cache=False).logits


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_an_addition_is_the_same_from_its_layer_on(name, layer):
    model = tiny(name)
    structure = find_structure(model)
    streams = []
    with reading(structure, streams.append):
        plain = logits(model)
    edit = Addition(torch.randn(32, generator=torch.Generator().manual_seed(0)), layer)
    with editing(structure, edit):
        wanted = logits(model)
    ran = []
    first = structure.blocks[0].mlp.register_forward_hook(lambda *_: ran.append(1))
    try:
        with resuming(structure, layer, streams[layer]), editing(structure, edit):
            found = logits(model)
    finally:
        first.remove()
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    assert bool(ran) == (layer == 0)
    assert hooks(model) == 0
    assert torch.equal(logits(model), plain)


def test_blocks_run_again_after_an_exception():
    model = tiny("llama")
    structure = find_structure(model)
    plain = logits(model)
    own = structure.blocks[0].module.__dict__.get("forward")
    with pytest.raises(KeyError), resuming(structure, 2, torch.zeros(2, 9, 32)):
        raise KeyError
    assert structure.blocks[0].module.__dict__.get("forward") is own
    assert torch.equal(logits(model), plain)
