"""Selection: the same whether all scores are computed or not, and clear about what it left out."""

from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from overrefusal.activations.edit import editing  # noqa: E402
from overrefusal.activations.positions import Position  # noqa: E402
from overrefusal.activations.record import record_moments  # noqa: E402
from overrefusal.activations.structure import find_structure  # noqa: E402
from overrefusal.directions.cosmic import select_cosmic  # noqa: E402
from overrefusal.directions.score import kl_divergence, refusal_score  # noqa: E402
from overrefusal.directions.select import Limits, candidates_of, gathered, select  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from tests.activations.tiny import prompts, tiny  # noqa: E402

POSITIONS = (Position("instruction", -2, ""), Position("post_1", -1, "a"))
HARMFUL = [[5, *ids] for ids in prompts(5, 7, 9, 4)]
PLAIN = [[6, *ids] for ids in prompts(6, 4, 8, 5, 7, seed=1)]
TOKENS = (7, 11, 40)
ANY = Limits(max_kl=float("inf"), min_induction=-float("inf"))


@pytest.fixture(scope="module", params=["llama", "gemma2", "falcon"])
def parts(request):
    model = tiny(request.param)
    structure = find_structure(model)
    moments = record_moments(
        model, structure, HARMFUL + PLAIN, POSITIONS, {"h": range(4), "p": range(4, 9)}
    )
    return model, structure, moments


def directions(parts, affine=False):
    _, _, moments = parts
    return candidates_of(moments.mean("h"), moments.mean("p"), affine=affine)


@pytest.mark.parametrize("affine", [False, True])
def test_scores_are_those_of_a_plain_pass_each(parts, affine):
    model, structure, _ = parts
    found = directions(parts, affine)
    assert len(found) == 6
    _, candidates = select(model, structure, found, HARMFUL, PLAIN, TOKENS, ANY, every_score=True)
    before = gathered(model, PLAIN)
    for c in candidates:
        d = found[c.layer, c.position]
        with editing(structure, d.ablation()):
            bypass = refusal_score(gathered(model, HARMFUL), TOKENS)
            kl = kl_divergence(before, gathered(model, PLAIN)).mean()
        with editing(structure, d.addition()):
            induction = refusal_score(gathered(model, PLAIN), TOKENS).mean()
        assert c.bypass == pytest.approx(bypass.mean().item(), abs=1e-4)
        assert c.bypass_error == pytest.approx(bypass.std().item() / 2, abs=1e-4)
        assert c.induction == pytest.approx(induction.item(), abs=1e-4)
        assert c.kl == pytest.approx(kl.item(), abs=1e-4)


def test_leaving_scores_out_selects_the_same(parts):
    model, structure, _ = parts
    found = directions(parts)
    _, scored = select(model, structure, found, HARMFUL, PLAIN, TOKENS, ANY, every_score=True)
    # Limits that keep some candidates out by each score.
    usable = [c for c in scored if c.rejected is None]
    limits = Limits(
        max_kl=sorted(c.kl for c in usable)[len(usable) // 2],
        min_induction=sorted(c.induction for c in usable)[1],
    )
    wanted = min(
        (c for c in usable if c.kl <= limits.max_kl and c.induction > limits.min_induction),
        key=lambda c: c.bypass,
    )
    lazy, some = select(model, structure, found, HARMFUL, PLAIN, TOKENS, limits)
    full, _ = select(model, structure, found, HARMFUL, PLAIN, TOKENS, limits, every_score=True)
    assert (lazy.layer, lazy.position) == (full.layer, full.position)
    assert (lazy.layer, lazy.position) == (wanted.layer, wanted.position)
    assert any(c.bypass is None for c in some)


def test_late_layers_are_left_out(parts):
    model, structure, _ = parts
    limits = replace(ANY, max_depth=0.5)
    best, found = select(model, structure, directions(parts), HARMFUL, PLAIN, TOKENS, limits)
    assert best.layer < 2
    assert {c.layer for c in found if c.rejected == "layer"} == {2}


def test_none_left_says_what_took_them(parts):
    model, structure, _ = parts
    limits = Limits(max_kl=-1.0, min_induction=-float("inf"), max_depth=0.5)
    with pytest.raises(OverrefusalError, match=r"none of 6 .* 2 taken by the layer limit .*, 4 by"):
        select(model, structure, directions(parts), HARMFUL, PLAIN, TOKENS, limits)
    with pytest.raises(OverrefusalError, match=r"6 by induction > inf"):
        select(
            model, structure, directions(parts), HARMFUL, PLAIN, TOKENS,
            Limits(min_induction=float("inf"), max_depth=1.0),
        )  # fmt: skip


def test_positions_at_which_the_groups_are_alike_give_no_candidate(parts):
    _, _, moments = parts
    harmful = moments.mean("h").clone()
    harmful[0] = moments.mean("p")[0]
    assert {layer for layer, _ in candidates_of(harmful, moments.mean("p"), affine=False)} == {1, 2}


def test_cosmic_prefers_the_candidate_that_moves_each_group_to_the_other(parts):
    model, structure, _ = parts
    found = directions(parts)
    best, candidates = select_cosmic(model, structure, found, HARMFUL, PLAIN, POSITIONS)
    scores = [c.cosmic for c in candidates if c.cosmic is not None]
    assert best.cosmic == max(scores)
    assert all(-2 <= s <= 2 for s in scores)
    noise = {k: d.random(1) for k, d in found.items()}
    other, _ = select_cosmic(model, structure, noise, HARMFUL, PLAIN, POSITIONS)
    assert best.cosmic > other.cosmic
