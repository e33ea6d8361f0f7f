"""Recorded streams: exact, flat in the number of prompts, free of padding."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from overrefusal.activations import record as record_room  # noqa: E402
from overrefusal.activations.batches import all_next_logits, batches  # noqa: E402
from overrefusal.activations.positions import Position  # noqa: E402
from overrefusal.activations.record import project, record_moments  # noqa: E402
from overrefusal.activations.structure import find_structure  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from tests.activations.tiny import CONFIGS, hooks, prompts, tiny  # noqa: E402

POSITIONS = (
    Position("instruction", -3, ""),
    Position("post_1", -2, "a"),
    Position("post_2", -1, "b"),
)
PROMPTS = prompts(5, 9, 4, 17, 9, 6)


def streams(model, ids):
    """The streams of one prompt alone, as transformers itself gives them out."""
    with torch.inference_mode():
        out = model(torch.tensor([ids]), output_hidden_states=True, use_cache=False)
    # The last of these is behind the final norm; ours is before it.
    return torch.cat(out.hidden_states[:-1])[:, -3:]


@pytest.mark.parametrize("name", CONFIGS)
def test_means_are_those_of_every_prompt_alone(name):
    """Padding in means; and the off-by-one: layer i is what block i takes."""
    model = tiny(name)
    found = record_moments(
        model, find_structure(model), PROMPTS, POSITIONS, {"all": range(6), "some": [1, 4]}
    )
    alone = torch.stack([streams(model, ids) for ids in PROMPTS]).double()
    assert found.counts == (6, 2)
    assert found.means.dtype == torch.float64
    assert found.means.shape == (2, 4, 3, 32)
    torch.testing.assert_close(found.mean("all")[:-1], alone.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.mean("some")[:-1], alone[[1, 4]].mean(0), rtol=1e-4, atol=1e-5)


def test_the_last_layer_is_what_the_last_block_gives():
    model = tiny("llama")
    found = record_moments(model, find_structure(model), PROMPTS[:1], POSITIONS, {"a": [0]})
    with torch.inference_mode():
        out = model(torch.tensor([PROMPTS[0]]), output_hidden_states=True, use_cache=False)
        normed = model.model.norm(found.mean("a")[-1].float())
    torch.testing.assert_close(normed, out.hidden_states[-1][0, -3:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("tokens", [1, 20, 4096])
def test_covariances_are_those_of_numpy_however_the_prompts_are_batched(tokens):
    model = tiny("qwen2")
    found = record_moments(
        model, find_structure(model), PROMPTS, POSITIONS, {"a": range(6), "b": [2], "c": []},
        covariance=True, tokens=tokens,
    )  # fmt: skip
    alone = torch.stack([streams(model, ids) for ids in PROMPTS]).double()
    for layer in range(3):
        for position in range(3):
            wanted = torch.cov(alone[:, layer, position].T)
            torch.testing.assert_close(
                found.covariances[0, layer, position], wanted, rtol=1e-3, atol=1e-6
            )
    assert not found.covariances[1:].any()
    assert found.counts == (6, 1, 0)
    assert not found.means[2].any()


def test_prompts_can_be_left_out_by_what_the_model_is_about_to_say():
    model = tiny("llama")
    structure = find_structure(model)
    kept = record_moments(
        model, structure, PROMPTS, POSITIONS, {"a": range(6)},
        accept=lambda rows, logits: torch.tensor([r in (0, 3) for r in rows]), tokens=20,
    )  # fmt: skip
    wanted = record_moments(model, structure, PROMPTS, POSITIONS, {"a": [0, 3]})
    assert kept.counts == (2,)
    torch.testing.assert_close(kept.means, wanted.means, rtol=1e-4, atol=1e-5)


def test_projections_are_the_streams_times_the_unit_vector():
    model = tiny("gemma2")
    direction = torch.randn(32, generator=torch.Generator().manual_seed(0)) * 7
    found = project(model, find_structure(model), PROMPTS, POSITIONS[1], direction)
    alone = torch.stack([streams(model, ids)[:, 1] for ids in PROMPTS]).double()
    assert found.shape == (6, 4)
    torch.testing.assert_close(
        found[:, :-1], alone @ (direction / direction.norm()).double(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_every_prompt_alone(name):
    model = tiny(name)
    seen = {}
    for rows, logits in all_next_logits(model, PROMPTS, tokens=36):
        seen |= dict(zip(rows, logits, strict=True))
    with torch.inference_mode():
        for i, ids in enumerate(PROMPTS):
            alone = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
            torch.testing.assert_close(seen[i], alone, rtol=1e-4, atol=1e-4)


def test_batches_hold_every_prompt_once_within_the_budget():
    found = list(batches(PROMPTS, torch.device("cpu"), 20))
    assert sorted(row for batch in found for row in batch.rows) == list(range(6))
    assert all(batch.ids.numel() <= 20 for batch in found)
    assert [len(batch.rows) for batch in batches(PROMPTS, torch.device("cpu"), 1)] == [1] * 6


def test_an_empty_prompt_and_one_shorter_than_its_positions_are_errors():
    model = tiny("llama")
    structure = find_structure(model)
    with pytest.raises(OverrefusalError, match="prompt 1 has no tokens"):
        record_moments(model, structure, [[5, 6, 7], []], POSITIONS, {"a": [0]})
    with pytest.raises(OverrefusalError, match="a prompt of 2 tokens has no position -3"):
        record_moments(model, structure, [[5, 6]], POSITIONS, {"a": [0]})


def test_hooks_are_gone_after_an_exception_while_recording():
    model = tiny("llama")
    structure = find_structure(model)
    with pytest.raises(IndexError):
        record_moments(model, structure, [[5, 6, 200]], POSITIONS, {"a": [0]})
    assert hooks(model) == 0


def test_nothing_is_kept_per_prompt(monkeypatch):
    """What `walk` hands out lives only until the next batch."""
    import gc
    import weakref

    model = tiny("llama")
    alive = []
    most = 0
    real = record_room.walk

    def counted(*args, **options):
        nonlocal most
        for rows, logits, found in real(*args, **options):
            alive.extend(weakref.ref(stream) for stream in found)
            yield rows, logits, found
            del found
            gc.collect()
            most = max(most, sum(ref() is not None for ref in alive))

    monkeypatch.setattr(record_room, "walk", counted)
    record_moments(
        model, find_structure(model), PROMPTS * 10, POSITIONS, {"a": range(60)}, tokens=20
    )
    assert len(alive) > 60
    assert most <= 2 * 4
