"""The plain-Python tokenizer against the library that transformers uses."""

from __future__ import annotations

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from overrefusal.bouncer import suite
from overrefusal.bouncer.folder import BUNDLED
from overrefusal.bouncer.tokens import SPECIAL, Tokenizer, render
from overrefusal.records import Message

OURS = Tokenizer(BUNDLED / "tokenizer.json")


@pytest.fixture(scope="module")
def theirs():
    return pytest.importorskip("tokenizers").Tokenizer.from_file(str(BUNDLED / "tokenizer.json"))


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_ids_equal_the_librarys_on_any_text(theirs, text):
    assert OURS.encode(text) == theirs.encode(text, add_special_tokens=False).ids


@given(parts=st.lists(st.sampled_from([*SPECIAL, "¿Cómo ", "Tür", " l'été", "  ", "\n", "a1 2"])))
def test_special_tokens_are_found_where_the_library_finds_them(theirs, parts):
    text = "".join(parts)
    assert OURS.encode(text) == theirs.encode(text, add_special_tokens=False).ids


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=60))
def test_decoding_gives_the_text_back(text):
    assume(not any(mark in text for mark in SPECIAL))
    assert OURS.decode(OURS.encode(text)) == text


@pytest.mark.parametrize("mark", SPECIAL)
def test_marks_of_turns_are_left_out_of_the_text(mark):
    assert OURS.decode(OURS.encode(f"a{mark}b")) == "ab"


def test_natural_prompts_need_few_tokens_a_word():
    texts = [p.text for p in suite("heldout", 200, 3)]
    tokens = sum(len(OURS.encode(t)) for t in texts)
    assert tokens / sum(len(t.split()) for t in texts) < 2.0


def test_rendering_equals_the_chat_template():
    jinja2 = pytest.importorskip("jinja2")
    template = (BUNDLED / "chat_template.jinja").read_text("utf-8")
    turns = [("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello"), ("user", "<b>?")]
    expected = jinja2.Template(template).render(
        messages=[{"role": r, "content": c} for r, c in turns], add_generation_prompt=True
    )
    assert render([Message(r, c) for r, c in turns]) == expected


def test_special_tokens_have_the_ids_that_the_settings_name():
    config = json.loads((BUNDLED / "config.json").read_text("utf-8"))
    assert OURS.encode("<|end|>") == [config["eos_token_id"]]
    assert OURS.encode("<|pad|>") == [config["pad_token_id"]]
