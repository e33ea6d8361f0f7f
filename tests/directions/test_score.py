"""The refusal score, the divergence, and the tokens that open refusals."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from overrefusal.directions.refusal_tokens import find_refusal_tokens  # noqa: E402
from overrefusal.directions.score import kl_divergence, refusal_score  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402


def test_the_score_is_the_log_odds_of_the_summed_probability():
    logits = torch.randn(5, 11, generator=torch.Generator().manual_seed(0))
    p = logits.double().softmax(-1)[:, [2, 7]].sum(-1)
    assert torch.allclose(refusal_score(logits, (7, 2, 7)), (p / (1 - p)).log())


def test_a_certain_refusal_has_a_finite_score():
    # 1 - p is 0 in float64 where p is summed first.
    assert refusal_score(torch.tensor([[90.0, 0.0]]), (0,)).item() == pytest.approx(90)


@pytest.mark.parametrize("tokens", [(), (11,), (-1,)])
def test_tokens_that_the_model_does_not_have_are_named(tokens):
    with pytest.raises(OverrefusalError, match="none of the model's 11 tokens"):
        refusal_score(torch.zeros(1, 11), tokens)


def test_the_divergence_is_zero_for_shifted_logits_and_positive_otherwise():
    a = torch.tensor([[1.0, 2.0, 3.0]])
    assert kl_divergence(a, a + 5).item() == pytest.approx(0, abs=1e-12)
    p, q = a.double().softmax(-1)[0], torch.full((3,), 1 / 3, dtype=torch.float64)
    wanted = sum(float(x * math.log(x / y)) for x, y in zip(p, q, strict=True))
    assert kl_divergence(a, torch.zeros(1, 3)).item() == pytest.approx(wanted)


def logits_of(*openings):
    """Rows that open with the given token at 90 %, the rest spread over ten tokens."""
    p = torch.full((len(openings), 10), 0.1 / 9)
    p[range(len(openings)), list(openings)] = 0.9
    return p.log()


def test_tokens_that_open_refusals_are_found_and_shared_openings_are_not():
    # Token 3 opens both, as "I" does in "I cannot" and "I would".
    batches = [
        (logits_of(1, 3, 5), torch.tensor([True, True, False])),
        (logits_of(2, 3, 6), torch.tensor([True, False, False])),
    ]
    found = find_refusal_tokens(batches)
    assert set(found.ids) == {1, 2}
    assert (found.n_refused, found.n_answered) == (3, 3)
    assert found.opens_refusals > 0.6 > 0.1 > found.opens_answers


@pytest.mark.parametrize(("refused", "which"), [(True, "answered"), (False, "refused")])
def test_a_model_that_does_only_one_of_both_is_an_error(refused, which):
    with pytest.raises(OverrefusalError, match=f"{which} none of the 2 prompts"):
        find_refusal_tokens([(logits_of(1, 2), torch.tensor([refused, refused]))])


def test_a_first_token_that_says_nothing_is_an_error():
    # A reasoning model opens everything with the same token.
    with pytest.raises(OverrefusalError, match="does not tell its refusals"):
        find_refusal_tokens([(logits_of(4, 4), torch.tensor([True, False]))])
