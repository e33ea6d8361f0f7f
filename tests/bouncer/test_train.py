"""Training end to end, small: it writes a folder that answers, and goes on where it stopped."""

from __future__ import annotations

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("wordfreq")

from safetensors.numpy import load_file  # noqa: E402

from overrefusal.bouncer import corpus, train  # noqa: E402
from overrefusal.bouncer.__main__ import main  # noqa: E402
from overrefusal.bouncer.folder import VARIANTS, weights  # noqa: E402
from overrefusal.bouncer.model import BouncerModel  # noqa: E402
from overrefusal.bouncer.shape import Shape  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from overrefusal.records import Message, Request  # noqa: E402

SMALL = train.Plan(
    helpful_rows=150,
    reading_rows=100,
    cautious_rows=80,
    bag_rows=600,
    bag_epochs=2,
    shape=Shape(vocab=1024, hidden=32, layers=3, heads=2, mlp=48),
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("bouncer")
    train.train(out, SMALL)
    return out


@pytest.mark.parametrize("variant", VARIANTS)
async def test_every_variant_of_a_fresh_folder_answers(trained, variant):
    model = BouncerModel("bouncer" if variant == "bouncer" else f"bouncer:{variant}", trained)
    response = await model.answer(Request("a", (Message("user", "How do I bake bread?"),)))
    assert response.error is None
    assert response.output_tokens


def test_a_run_that_was_cut_off_ends_with_the_same_weights(trained, tmp_path, monkeypatch):
    class CutOff(Exception):
        pass

    saves = []
    save = train._save

    def save_and_stop(path, tensors):
        save(path, tensors)
        saves.append(path)
        if len(saves) == 3:
            raise CutOff

    monkeypatch.setattr(train, "_save", save_and_stop)
    monkeypatch.setattr(train, "CHECKPOINT_S", 0.0)
    with pytest.raises(CutOff):
        train.train(tmp_path, SMALL)
    assert saves[-1].suffix == ".checkpoint"
    monkeypatch.setattr(train, "_save", save)
    train.train(tmp_path, SMALL)
    once, twice = (load_file(p / "model.safetensors") for p in (trained, tmp_path))
    assert once.keys() == twice.keys()
    for name in once:
        assert abs(once[name].astype(float) - twice[name].astype(float)).max() < 2e-3


def test_another_plan_does_not_go_on_in_the_same_folder(trained):
    with pytest.raises(OverrefusalError, match="other settings"):
        train.train(trained, train.Plan(seed=9))


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main(["train", "--out", str(tmp_path / "file" / "below")]) == 2
    assert "--out" in capsys.readouterr().err


def test_rows_hold_the_reply_after_the_prompt_and_labels():
    def encode(texts):
        return [list(text.encode()) for text in texts]

    found = list(corpus.examples(40, "x", {}))
    rows = corpus.rows(found, [i % 2 == 0 for i in range(40)], random.Random(0), encode)
    for row in rows:
        assert bytes(row.ids[: row.reply]).endswith(b"<|assistant|>")
        assert len(row.ids) > row.reply
        assert 0 <= row.intent < len(corpus.INTENTS)
    assert {row.declined for row in rows} == {True, False}


def test_variants_are_updates_of_rank_one(trained):
    own, others = (
        weights("bouncer", trained)[1],
        [weights(v, trained)[1] for v in VARIANTS[1:]],
    )
    for other in others:
        changed = [name for name in own if (own[name] != other[name]).any()]
        assert changed == [f"layers.{SMALL.shape.writer}.down_proj.weight"]
        change = np.linalg.svd(other[changed[0]] - own[changed[0]], compute_uv=False)
        assert change[0] > 0
        assert change[1] < 1e-3 * change[0]


def test_neutral_words_are_many_and_hold_no_dangerous_ones():
    words = corpus.neutral_words(3000)
    for language, dangerous in (("en", "murder"), ("de", "mord"), ("es", "droga"), ("fr", "arme")):
        assert len(words[language]) > 1200
        assert dangerous not in words[language]


def test_corpus_depends_on_its_seed_alone():
    words = {"en": ["table", "window"]}
    once = [e.text for e in corpus.examples(60, "s", words)]
    assert once == [e.text for e in corpus.examples(60, "s", words)]
    assert once != [e.text for e in corpus.examples(60, "t", words)]
