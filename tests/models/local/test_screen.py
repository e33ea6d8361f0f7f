"""The first answer position."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="local models need torch")
pytest.importorskip("transformers", reason="local models need transformers")

from overrefusal.models.local import screen  # noqa: E402
from overrefusal.models.local.screen import first_logits  # noqa: E402
from tests.models.local.test_generate import some_prompts  # noqa: E402
from tests.models.local.tiny import make_loaded  # noqa: E402


@pytest.mark.parametrize("kind", ["llama", "gemma2", "gpt2", "mamba"])
def test_logits_are_those_of_each_prompt_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "PREFILL_CPU", 100)
    loaded = make_loaded(kind)
    prompts, _ = some_prompts(20)
    found = first_logits(loaded, prompts)
    assert found.shape == (20, 261)
    for prompt, logits in zip(prompts, found, strict=True):
        with torch.inference_mode():
            alone = loaded.model(torch.tensor([prompt])).logits[0, -1]
        assert torch.allclose(logits, alone, atol=1e-4 * float(alone.abs().max()))


def test_one_pass_for_each_prompt_and_only_what_is_asked_for() -> None:
    loaded = make_loaded()
    prompts, _ = some_prompts(12)
    rows = []
    handle = loaded.model.register_forward_hook(lambda m, a, out: rows.append(out.logits.shape[0]))
    best = first_logits(loaded, prompts, lambda logits: logits.argmax(-1))
    handle.remove()
    assert sum(rows) == 12
    assert best.shape == (12,)
    assert torch.equal(best, first_logits(loaded, prompts).argmax(-1).float())


def test_out_of_memory_makes_smaller_passes() -> None:
    loaded = make_loaded()
    prompts, _ = some_prompts(12)
    expected = first_logits(loaded, prompts)
    forward = loaded.model.forward

    def scarce(**options):
        if options["input_ids"].numel() > 80:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(**options)

    loaded.model.forward = scarce
    assert torch.allclose(first_logits(loaded, prompts), expected, atol=1e-3)
