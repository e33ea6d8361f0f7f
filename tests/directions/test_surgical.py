"""The false-refusal vector off the span of the harmful directions, in every layer."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from overrefusal.directions.surgical import surgical, surgical_ablation  # noqa: E402


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_orthogonal_to_the_harmful_directions_of_each_layer_where_it_is_applied():
    harmful, vector = drawn(4, 3, 16), drawn(16, seed=1)
    found = surgical(vector, harmful)
    assert found.shape == (4, 16)
    assert torch.einsum("lpd,ld->lp", harmful, found).abs().max() < 1e-12
    # Off the source layer only, it would keep a part of the others.
    assert (harmful[1] @ found[0]).abs().max() > 0.1


@pytest.mark.parametrize("strength", [0.0, 0.4])
def test_lambda_takes_off_its_share(strength):
    harmful, vector = drawn(2, 1, 8), drawn(8, seed=1)
    found = surgical(vector, harmful, strength)
    for layer in range(2):
        v = harmful[layer, 0]
        wanted = vector - strength * v * (v @ vector) / (v @ v)
        torch.testing.assert_close(found[layer], wanted)


def test_directions_that_are_alike_or_zero_span_no_more_than_they_do():
    v = drawn(8)
    harmful = torch.stack([torch.stack([v, 2 * v]), torch.zeros(2, 8, dtype=v.dtype)])
    vector = drawn(8, seed=1)
    found = surgical(vector, harmful)
    torch.testing.assert_close(found[0], vector - v * (v @ vector) / (v @ v))
    torch.testing.assert_close(found[1], vector)


def test_origins_are_where_the_means_lie_along_each_layers_vector():
    vectors, means = drawn(2, 8), drawn(3, 8, seed=2)
    edit = surgical_ablation(vectors, means, affine=True)
    units = vectors / vectors.norm(dim=-1, keepdim=True)
    wanted = torch.stack([means[0] @ units[0], means[1] @ units[1], means[2] @ units[1]])
    torch.testing.assert_close(edit.origins, wanted)
    assert surgical_ablation(vectors, means, affine=False).origins is None
