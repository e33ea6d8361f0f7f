"""Edits of the stream: in the right place, once, on the right rows, and gone afterwards."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from overrefusal.activations.edit import Ablation, Addition, editing  # noqa: E402
from overrefusal.activations.positions import Position  # noqa: E402
from overrefusal.activations.record import reading, record_moments  # noqa: E402
from overrefusal.activations.structure import find_structure  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from tests.activations.tiny import CONFIGS, hooks, prompts, tiny  # noqa: E402

LAST = (Position("post_1", -1, ""),)
IDS = torch.tensor(prompts(9, 9, 9))


def vectors(*shape, seed=0):
    return torch.randn(*shape, 32, generator=torch.Generator().manual_seed(seed))


def logits(model, ids=IDS, **options):
    with torch.inference_mode():
        return model(ids, use_cache=False, **options).logits


@pytest.mark.parametrize("name", CONFIGS)
def test_addition_moves_the_stream_it_was_recorded_at_by_the_vector_once(name):
    """Off by one layer; and a vector added twice."""
    model = tiny(name)
    structure = find_structure(model)
    before = record_moments(model, structure, IDS.tolist(), LAST, {"a": range(3)}).mean("a")
    v = vectors()
    with editing(structure, Addition(v, layer=1)):
        after = record_moments(model, structure, IDS.tolist(), LAST, {"a": range(3)}).mean("a")
    torch.testing.assert_close(after[0], before[0], rtol=0, atol=0)
    torch.testing.assert_close(after[1, 0], before[1, 0] + v.double(), rtol=1e-4, atol=1e-4)
    assert (after[2] - before[2]).abs().max() > 0.01


@pytest.mark.parametrize("name", CONFIGS)
def test_ablation_leaves_nothing_of_the_direction_in_any_layer(name):
    model = tiny(name)
    structure = find_structure(model)
    r = vectors()
    with torch.inference_mode(), editing(structure, Ablation(r)):
        found = []
        with reading(structure, found.append):
            model(IDS, use_cache=False)
    unit = r / r.norm()
    assert len(found) == 4
    for stream in found:
        assert (stream @ unit).abs().max() < 1e-4 * stream.abs().max()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("edit", [Ablation(vectors()), Addition(vectors(), 1, strength=2.0)])
def test_generation_is_the_same_with_and_without_a_kv_cache(name, edit):
    """Steering that stops after the prefill."""
    model = tiny(name)
    structure = find_structure(model)

    def generated(use_cache):
        return model.generate(
            IDS[:1], max_new_tokens=6, min_new_tokens=6, do_sample=False, use_cache=use_cache
        )[0, 9:].tolist()

    with editing(structure, edit):
        cached, whole = generated(True), generated(False)
        # Token by token, from edited full passes.
        ids = IDS[:1]
        for _ in range(6):
            said = logits(model, ids)[:, -1].clone()
            said[:, 2] = -torch.inf  # min_new_tokens forbids the end of the turn.
            ids = torch.cat([ids, said.argmax(-1)[:, None]], dim=1)
    assert cached == whole == ids[0, 9:].tolist()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("kind", ["ablation", "addition", "rows"])
def test_strength_zero_changes_no_bit(name, kind):
    """Strength 0 that still changes the output."""
    model = tiny(name)
    structure = find_structure(model)
    plain = logits(model)
    if kind == "rows":
        edits = [Ablation(vectors(3, 1), strength=[0, 1, 0]), Addition(vectors(3), 1, [0, 0.5, 0])]
        with editing(structure, *edits):
            edited = logits(model)
        # A mixture's kernels choose by how many tokens an expert has, and the edited row moves
        # some: its neighbours are equal to rounding there, and bit for bit elsewhere.
        exact = not any(word in name for word in ("moe", "mixtral", "oss", "deepseek"))
        torch.testing.assert_close(edited[[0, 2]], plain[[0, 2]], rtol=0, atol=0 if exact else 1e-5)
        assert (edited[1] - plain[1]).abs().max() > 1e-3
        return
    edit = Ablation(vectors(), 0.0) if kind == "ablation" else Addition(vectors(), 0, 0.0)
    with editing(structure, edit):
        assert hooks(model) == 0
        assert torch.equal(logits(model), plain)


def test_strength_zero_in_a_row_keeps_what_is_no_number():
    structure = find_structure(tiny("llama"))
    block = structure.blocks[0].module
    stream = torch.full((2, 1, 32), torch.inf)
    seen = []
    handle = block.register_forward_pre_hook(lambda _, args: seen.append(args[0]) or (stream,))
    try:
        with editing(structure, Ablation(vectors(), [0.0, 1.0])):
            caught = []
            after = block.register_forward_pre_hook(lambda _, args: caught.append(args[0]))
            try:
                logits(tiny("llama"), IDS[:2, :1])
            finally:
                after.remove()
    finally:
        handle.remove()
    assert torch.equal(caught[0][0], stream[0])
    assert caught[0][1].isnan().all()


def test_each_row_of_a_batch_has_an_edit_of_its_own():
    model = tiny("llama")
    structure = find_structure(model)
    r, v = vectors(3, seed=1), vectors(3, seed=2)
    with editing(structure, Ablation(r[:, None]), Addition(v, 2, [1.0, 2.0, 0.0])):
        together = logits(model)
    for row, strength in enumerate([1.0, 2.0, 0.0]):
        with editing(structure, Ablation(r[row]), Addition(v[row], 2, strength)):
            alone = logits(model, IDS[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], rtol=1e-4, atol=1e-4)


def test_each_layer_can_have_a_direction_of_its_own():
    model = tiny("llama")
    structure = find_structure(model)
    r = vectors(3)
    r[1] = 0
    found = []
    with torch.inference_mode(), editing(structure, Ablation(r)), reading(structure, found.append):
        model(IDS, use_cache=False)
    assert (found[0] @ r[0]).abs().max() < 1e-4
    assert (found[2] @ r[2]).abs().max() < 1e-4
    free = []
    first = torch.cat([r[:1], torch.zeros(2, 32)])
    with (
        torch.inference_mode(),
        editing(structure, Ablation(first)),
        reading(structure, free.append),
    ):
        model(IDS, use_cache=False)
    torch.testing.assert_close(found[1], free[1])


@pytest.mark.parametrize("name", CONFIGS)
def test_ablation_to_origins_leaves_every_layer_there(name):
    model = tiny(name)
    structure = find_structure(model)
    r = vectors()
    origins = torch.tensor([0.5, -1.0, 2.0, 3.0])
    found = []
    with (
        torch.inference_mode(),
        editing(structure, Ablation(r, origins=origins)),
        reading(structure, found.append),
    ):
        model(IDS, use_cache=False)
    for stream, origin in zip(found, origins, strict=True):
        along = stream @ (r / r.norm())
        torch.testing.assert_close(along, origin.expand_as(along), rtol=1e-4, atol=1e-3)


def test_origins_of_zero_are_the_published_ablation():
    model = tiny("llama")
    structure = find_structure(model)
    with editing(structure, Ablation(vectors())):
        wanted = logits(model)
    with editing(structure, Ablation(vectors(), origins=torch.zeros(4))):
        torch.testing.assert_close(logits(model), wanted, rtol=1e-4, atol=1e-4)
    with editing(structure, Ablation(vectors(3, 1), origins=torch.zeros(3, 4))):
        assert hooks(model) == 10
    with editing(structure, Ablation(vectors(), 0.0, torch.ones(4))):
        assert hooks(model) == 0


class Stop(BaseException):
    """As a KeyboardInterrupt: no Exception."""


@pytest.mark.parametrize("error", [RuntimeError, Stop])
def test_hooks_are_gone_after_an_exception(error):
    """Hooks left behind after an exception."""
    model = tiny("llama")
    structure = find_structure(model)
    plain = logits(model)

    def fail():
        assert hooks(model) > 0
        raise error

    with pytest.raises(error), editing(structure, Ablation(vectors()), Addition(vectors(), 0)):
        fail()
    assert hooks(model) == 0
    assert torch.equal(logits(model), plain)


def test_no_hook_is_left_of_edits_of_which_one_does_not_fit():
    model = tiny("llama")
    structure = find_structure(model)
    with (
        pytest.raises(OverrefusalError, match="from another model"),
        editing(structure, Ablation(vectors()), Ablation(torch.ones(33))),
    ):
        pass
    assert hooks(model) == 0


def test_an_exception_inside_the_model_leaves_no_hook():
    model = tiny("llama")
    with pytest.raises(IndexError), editing(find_structure(model), Ablation(vectors())):
        logits(model, torch.tensor([[200]]))
    assert hooks(model) == 0


def test_an_abandoned_generator_undoes_its_edit():
    model = tiny("llama")
    structure = find_structure(model)

    def steps():
        with editing(structure, Ablation(vectors())):
            yield 1
            yield 2

    running = steps()
    next(running)
    assert hooks(model) > 0
    running.close()
    assert hooks(model) == 0


def test_nested_contexts_add_up_and_are_undone_one_by_one():
    model = tiny("llama")
    structure = find_structure(model)
    v = vectors()
    with editing(structure, Addition(v, 1)):
        once = logits(model)
        with editing(structure, Addition(v, 1)):
            twice = logits(model)
        assert torch.equal(logits(model), once)
    with editing(structure, Addition(v, 1, 2.0)):
        torch.testing.assert_close(logits(model), twice, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (Ablation(torch.ones(33)), r"shape \(33,\) does not fit .* 3 layers and width 32"),
        (Ablation(torch.ones(4, 32)), r"shape \(4, 32\) does not fit"),
        (Ablation(torch.ones(32), origins=torch.ones(3)), r"shape \(3,\) does not fit"),
        (Addition(torch.ones(33), 0), "does not fit"),
        (Addition(torch.ones(32), 3), "layers 0 to 2"),
        (Addition(torch.ones(32), -1), "layers 0 to 2"),
    ],
)
def test_a_vector_of_another_model_is_an_error(edit, message):
    with (
        pytest.raises(OverrefusalError, match=message),
        editing(find_structure(tiny("llama")), edit),
    ):
        pass


def test_a_batch_of_another_number_of_rows_is_an_error():
    model = tiny("llama")
    with (
        pytest.raises(OverrefusalError, match="for 2 rows, the batch has 3"),
        editing(find_structure(model), Addition(vectors(2), 0)),
    ):
        logits(model)


@pytest.mark.parametrize("name", ["llama", "gemma2", "mixtral"])
def test_half_precision_is_edited_in_single(name):
    model = tiny(name, torch.bfloat16)
    structure = find_structure(model)
    r = vectors()
    found = []
    with torch.inference_mode(), editing(structure, Ablation(r)), reading(structure, found.append):
        model(IDS, use_cache=False)
    unit = r / r.norm()
    assert found[1].dtype == torch.bfloat16
    assert ((found[-1].float() @ unit).abs() < 0.02 * found[-1].float().norm(dim=-1)).all()


class Cast(torch.nn.Module):
    """Half of a model in another precision, the nearest to another device that a CPU has."""

    def __init__(self, block):
        super().__init__()
        self.block = block.double()

    def forward(self, x, *args, **kwargs):
        kwargs = {
            k: tuple(t.double() for t in v) if k == "position_embeddings" else v
            for k, v in kwargs.items()
        }
        return self.block(x.double(), *args, **kwargs).float()


def test_edits_follow_the_stream_and_move_no_part_of_the_model():
    """`model.to()` breaking a model split over devices."""
    import copy

    model = copy.deepcopy(tiny("llama"))
    plain = find_structure(model)
    with editing(plain, Ablation(vectors())):
        wanted = logits(model)
    model.model.layers[1] = Cast(model.model.layers[1])
    split = find_structure(model)
    assert split.blocks[1].attention_name == "block.self_attn"
    with editing(split, Ablation(vectors())):
        found = logits(model)
    assert {p.dtype for p in model.model.layers[1].parameters()} == {torch.float64}
    assert {p.dtype for p in model.model.layers[0].parameters()} == {torch.float32}
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no second device on this machine")
def test_a_model_split_over_devices_is_edited_in_place():
    import copy

    model = copy.deepcopy(tiny("llama"))
    with editing(find_structure(model), Ablation(vectors())):
        wanted = logits(model)
    away = torch.device("cuda:0")
    block = model.model.layers[1].to(away)

    def there(_, args, kwargs):
        moved = {
            k: tuple(t.to(away) for t in v) if isinstance(v, tuple) else v
            for k, v in kwargs.items()
        }
        return tuple(a.to(away) for a in args), moved

    block.register_forward_pre_hook(there, with_kwargs=True)
    block.register_forward_hook(lambda _, args, output: output.to("cpu"))
    with editing(find_structure(model), Ablation(vectors())):
        found = logits(model)
    assert next(block.parameters()).device == away
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
