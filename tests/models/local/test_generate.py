"""The generation loop against ``model.generate``, one prompt at a time."""

from __future__ import annotations

import logging
import random
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="local models need torch")
transformers = pytest.importorskip("transformers", reason="local models need transformers")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from overrefusal.errors import OverrefusalError  # noqa: E402
from overrefusal.models.local import generate as loop  # noqa: E402
from overrefusal.models.local.generate import Batch, Row, arranged, generate  # noqa: E402
from overrefusal.models.local.load import Loaded, load  # noqa: E402
from overrefusal.models.local.slots import spliceable  # noqa: E402
from tests.models.local.tiny import make_loaded  # noqa: E402

KINDS = ("llama", "qwen2", "mistral", "gemma2", "gpt2")
MODELS: dict[str, Loaded] = {}


def model(kind: str) -> Loaded:
    if kind not in MODELS:
        MODELS[kind] = make_loaded(kind)
    return MODELS[kind]


def alone(loaded: Loaded, prompt: list[int], limit: int) -> list[int]:
    """The reference: greedy, unpadded, by transformers itself."""
    out = loaded.model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        do_sample=False,
        max_new_tokens=limit,
        eos_token_id=1,
        pad_token_id=0,
    )
    tokens: list[int] = out[0, len(prompt) :].tolist()
    return tokens


def some_prompts(count: int, seed: int = 0) -> tuple[list[list[int]], list[int]]:
    draw = random.Random(seed)
    prompts = [[draw.randrange(2, 261) for _ in range(draw.randint(1, 40))] for _ in range(count)]
    return prompts, [draw.randint(1, 30) for _ in prompts]


@pytest.fixture
def no_rescue(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop itself is under test, not the fall-back for ties."""
    monkeypatch.setattr(loop, "NEAR", 0.0)
    monkeypatch.setattr(Batch, "_alone", lambda *_: pytest.fail("a tie"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [1, 3, 8])
def test_every_answer_is_that_of_the_prompt_alone(
    kind: str, rows: int, monkeypatch: pytest.MonkeyPatch, no_rescue: None
) -> None:
    monkeypatch.setattr(loop, "ROWS_CPU", rows)
    loaded = model(kind)
    assert spliceable(loaded.model)
    prompts, limits = some_prompts(24)
    expected = [alone(loaded, p, n) for p, n in zip(prompts, limits, strict=True)]
    assert generate(loaded, prompts, limits) == expected
    assert len({tuple(e) for e in expected}) > 12


@settings(max_examples=25, deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    rows=st.integers(1, 6),
    asked=st.lists(
        st.tuples(st.lists(st.integers(2, 260), min_size=1, max_size=60), st.integers(1, 40)),
        min_size=1,
        max_size=12,
    ),
)
def test_whatever_the_prompts_and_limits(
    kind: str, rows: int, asked: list[tuple[list[int], int]]
) -> None:
    loaded = model(kind)
    waiting = arranged(Row(prompt, limit) for prompt, limit in asked)
    given_rows = list(waiting)
    batch = Batch(loaded)
    batch._capacity = rows
    batch.run(lambda: waiting, lambda _: None)
    for row in given_rows:
        assert row.tokens == alone(loaded, list(row.prompt), row.limit)


def test_the_bundled_model_answers_as_it_does_alone(no_rescue: None) -> None:
    from overrefusal.bouncer import suite
    from overrefusal.models.local.chat import encode, render

    loaded = load("bouncer:strict")
    prompts = [
        encode(loaded.tokenizer, render(loaded.tokenizer, p.messages))
        for p in suite("heldout", 40, 3)
    ]
    expected = [alone(loaded, p, 64) for p in prompts]
    assert generate(loaded, prompts, 64) == expected
    assert all(e[-1] == 1 for e in expected)


def test_a_tie_is_settled_by_the_prompt_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = make_loaded("llama")
    prompts, limits = some_prompts(10)
    expected = [alone(loaded, p, n) for p, n in zip(prompts, limits, strict=True)]
    with torch.no_grad():
        # Two tokens that are always equally likely: generate takes the first.
        head = loaded.model.lm_head.weight
        twin = expected[0][0]
        head[200 if twin != 200 else 201] = head[twin]
    asked = []
    settle = Batch._alone
    monkeypatch.setattr(Batch, "_alone", lambda b, row: (asked.append(row), settle(b, row)))
    expected = [alone(loaded, p, n) for p, n in zip(prompts, limits, strict=True)]
    assert generate(loaded, prompts, limits) == expected
    assert asked


def test_rows_join_while_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = model("llama")
    monkeypatch.setattr(loop, "ROWS_CPU", 4)
    sizes = []
    step = Batch._step
    monkeypatch.setattr(Batch, "_step", lambda b, d: (sizes.append(len(b._rows)), step(b, d)))
    prompts = [[5 + i] * (3 + i) for i in range(20)]
    limits = [2, 30] * 10
    generate(loaded, prompts, limits)
    total = sum(limits) - len(limits)
    assert sum(sizes) <= total
    assert len(sizes) < 0.5 * sum(max(limits[i : i + 4]) for i in range(0, 20, 4)) + total / 4


def test_a_model_with_another_memory_is_served_in_plain_batches() -> None:
    loaded = make_loaded("mamba")
    assert not spliceable(loaded.model)
    prompts, limits = some_prompts(9)
    prompts[4] = prompts[3][::-1]
    assert generate(loaded, prompts, limits) == [
        alone(loaded, p, n) for p, n in zip(prompts, limits, strict=True)
    ]


def test_stop_ends_a_row_and_on_done_tells_of_each() -> None:
    loaded = model("llama")
    prompts, _ = some_prompts(8)
    full = generate(loaded, prompts, 20)
    told: dict[int, list[int]] = {}
    cut = generate(
        loaded,
        prompts,
        20,
        stop=lambda i, tokens: len(tokens) == i + 1,
        on_done=told.__setitem__,
    )
    assert cut == [tokens[: i + 1] for i, tokens in enumerate(full)]
    assert [told[i] for i in range(8)] == cut


def test_a_budget_of_few_tokens_makes_small_batches() -> None:
    loaded = model("llama")
    prompts, limits = some_prompts(16)
    rows = [Row(p, n) for p, n in zip(prompts, limits, strict=True)]
    waiting = arranged(rows)
    batch = Batch(loaded, budget=150)
    held = []
    forward = batch._forward

    def watched(*args: Any) -> Any:
        assert batch._cache is not None
        held.append(len(batch._cache.lengths) * max(batch._cache.lengths))
        return forward(*args)

    batch._forward = watched  # type: ignore[method-assign]
    batch.run(lambda: waiting, lambda _: None)
    assert max(held) <= 150
    assert [r.tokens for r in rows] == generate(loaded, prompts, limits)


def test_out_of_memory_halves_the_batch_says_so_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loaded = make_loaded("llama")
    prompts, limits = some_prompts(16)
    expected = generate(loaded, prompts, limits)
    forward = loaded.model.forward

    def scarce(**options: Any) -> Any:
        cache = options["past_key_values"]
        if len(cache.lengths) * max(cache.lengths) > 200:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(**options)

    loaded.model.forward = scarce
    with caplog.at_level(logging.WARNING):
        assert generate(loaded, prompts, limits) == expected
    assert "out of memory; going on with batches of at most" in caplog.text
    assert "\n" not in caplog.records[0].getMessage()


def test_a_row_that_does_not_fit_even_alone_spares_the_others() -> None:
    loaded = make_loaded("llama")
    forward = loaded.model.forward

    def scarce(**options: Any) -> Any:
        if max(options["past_key_values"].lengths) > 50:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return forward(**options)

    loaded.model.forward = scarce
    rows = [Row([7] * 60, 5), Row([7] * 10, 5), Row([8] * 48, 9)]
    waiting = list(rows)
    Batch(loaded).run(lambda: waiting, lambda _: None)
    assert [row.error is not None for row in rows] == [True, False, True]
    assert len(rows[1].tokens) == 5
    with pytest.raises(OverrefusalError, match="prompt 0: out of memory"):
        generate(loaded, [[7] * 60], 5)


def test_other_errors_come_through() -> None:
    loaded = make_loaded("llama")

    def broken(**_: Any) -> Any:
        raise RuntimeError("shapes do not fit")

    loaded.model.forward = broken
    with pytest.raises(RuntimeError, match="shapes"):
        generate(loaded, [[5]], 3)


@pytest.mark.parametrize(
    ("prompt", "limit", "said"), [([], 3, "0 tokens"), ([5], 0, "limit 0"), ([5] * 160, 3, "160")]
)
def test_prompts_that_cannot_be_answered(prompt: list[int], limit: int, said: str) -> None:
    with pytest.raises(OverrefusalError, match=said):
        generate(model("llama"), [[5], prompt], [2, limit])


def test_the_context_bounds_an_answer() -> None:
    (tokens,) = generate(model("llama"), [[9] * 150], 50)
    assert tokens == alone(model("llama"), [9] * 150, 10)
    assert len(tokens) == 10


def test_hooks_see_every_pass_and_can_change_answers() -> None:
    loaded = model("llama")
    prompts, limits = some_prompts(6)
    before = generate(loaded, prompts, limits)
    widths = []

    def hook(_: Any, __: Any, output: Any) -> Any:
        widths.append(output.shape[1])
        return output + 3.0

    handle = loaded.model.model.layers[0].register_forward_hook(hook)
    try:
        changed = generate(loaded, prompts, limits)
        expected = [alone(loaded, p, n) for p, n in zip(prompts, limits, strict=True)]
    finally:
        handle.remove()
    assert changed == expected
    assert changed != before
    assert 1 in widths
    assert max(widths) > 1
    assert generate(loaded, prompts, limits) == before
