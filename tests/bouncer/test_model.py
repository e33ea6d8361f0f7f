"""The numpy model: equal to transformers', whatever the batch; clear errors."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys

import pytest

from overrefusal.bouncer import folder, suite
from overrefusal.bouncer.model import BouncerModel
from overrefusal.bouncer.tokens import END, Tokenizer, render
from overrefusal.errors import OverrefusalError
from overrefusal.records import Message, Request, Sampling


def requests(n: int, seed: int = 11) -> list[Request]:
    prompts = suite("heldout", n, seed)
    system = Message("system", "You are a helpful assistant.")
    return [
        Request(p.id, (system, *p.messages) if i % 3 == 0 else p.messages)
        for i, p in enumerate(prompts)
    ]


async def answers(model: BouncerModel, asked: list[Request]) -> list[str]:
    return [r.text for r in await asyncio.gather(*(model.answer(r) for r in asked))]


@pytest.mark.parametrize("variant", folder.VARIANTS)
async def test_tokens_equal_transformers_greedy_ones(variant, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    out = folder.export(variant, tmp_path / variant)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(out)
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    ours = BouncerModel("bouncer" if variant == "bouncer" else f"bouncer:{variant}")
    asked = requests(24)
    texts = await answers(ours, asked)
    for request, text in zip(asked, texts, strict=True):
        chat = [{"role": m.role, "content": m.content} for m in request.messages]
        ids = tokenizer.apply_chat_template(
            chat, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )["input_ids"]
        assert ids[0].tolist() == Tokenizer(out / "tokenizer.json").encode(render(request.messages))
        with torch.no_grad():
            generated = theirs.generate(ids, max_new_tokens=64, do_sample=False)
        reply = generated[0, ids.shape[1] :].tolist()
        assert tokenizer.decode(reply, skip_special_tokens=True).strip() == text
        assert reply[-1] == END


async def test_an_answer_does_not_depend_on_its_company():
    asked = requests(40)
    together = await answers(BouncerModel(), asked)
    model = BouncerModel()
    alone = [(await model.answer(r)).text for r in asked]
    assert together == alone
    assert len(set(alone)) > 10


async def test_the_bundled_folder_is_the_variant_bouncer():
    transformers = pytest.importorskip("transformers")
    model = transformers.AutoModelForCausalLM.from_pretrained(folder.BUNDLED)
    assert str(model.dtype) == "torch.float32"
    _, weights = folder.weights("bouncer")
    assert (
        model.model.embed_tokens.weight.numpy(force=True) == weights["embed_tokens.weight"]
    ).all()


async def test_token_limit_is_kept_and_reported():
    request = Request("a", (Message("user", "How do I bake bread?"),), Sampling(max_tokens=3))
    response = await BouncerModel().answer(request)
    assert response.output_tokens == 3
    assert response.truncated
    assert response.finish_reason == "length"


async def test_a_conversation_that_does_not_fit_is_an_error_of_its_own():
    model = BouncerModel()
    long = Request("long", (Message("user", "bread and butter " * 400),))
    short = Request("short", (Message("user", "How do I bake bread?"),))
    responses = await asyncio.gather(model.answer(long), model.answer(short))
    assert "do not fit" in responses[0].error
    assert responses[1].error is None
    assert responses[1].text


async def test_empty_text_is_answered():
    response = await BouncerModel().answer(Request("a", (Message("user", ""),)))
    assert response.error is None


def test_unknown_variant_names_the_known_ones():
    with pytest.raises(OverrefusalError, match="bouncer:strict"):
        BouncerModel("bouncer:huge")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_damaged_files_are_one_clear_line(tmp_path, name):
    damaged = tmp_path / "weights"
    shutil.copytree(folder.BUNDLED, damaged)
    (damaged / name).write_bytes(b"\x00broken")
    with pytest.raises(OverrefusalError, match=name) as caught:
        BouncerModel("bouncer", damaged)
    assert "\n" not in str(caught.value)


def test_identities_tell_variants_apart_and_stay():
    specs = ["bouncer", "bouncer:helpful", "bouncer:lenient", "bouncer:strict"]
    assert len({BouncerModel(s).identity for s in specs}) == 4
    assert BouncerModel().identity == BouncerModel().identity


def test_weights_stay_small():
    assert sum(f.stat().st_size for f in folder.BUNDLED.iterdir()) < 12_000_000


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, overrefusal.bouncer;"
        "print([m for m in ('torch', 'numpy', 'transformers') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
