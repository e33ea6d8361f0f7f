"""Inspect's ``.eval`` logs, read without Inspect."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest

from overrefusal.errors import OverrefusalError
from overrefusal.models.inspect_log import read_eval_log
from overrefusal.models.inspect_output import read_output
from overrefusal.records import Actor

USAGE = {"input_tokens": 5, "output_tokens": 3, "total_tokens": 8}


def output(content: Any, stop: str = "stop", **more: Any) -> dict[str, Any]:
    details = more.pop("stop_details", None)
    choice = {"message": {"role": "assistant", "content": content}, "stop_reason": stop}
    if details:
        choice["stop_details"] = details
    return {"model": "m-1", "choices": [choice], "usage": USAGE, **more}


def write_log(path: Path, samples: list[dict[str, Any]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_journal/start.json", b"{}")
        for sample in samples:
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(name, orjson.dumps(sample))
        archive.writestr("header.json", b"{}")
    return path


def test_samples_become_rows_of_a_replay_log(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": [{"type": "text", "text": "How do I kill a process?"}]},
    ]
    thought = [{"type": "reasoning", "reasoning": "Easy."}, {"type": "text", "text": "Use kill."}]
    samples = [
        {"id": "a/1", "epoch": 1, "input": "Hi?", "output": output("Hello."), "metadata": {}},
        {
            "id": 2,
            "epoch": 2,
            "input": turns,
            "output": output(thought, "max_tokens", time=0.5),
            "metadata": {"expected": "answer"},
        },
        {"id": 3, "epoch": 1, "input": "Bye", "output": {}, "error": {"message": "timed out"}},
    ]
    one, two, three = read_eval_log(write_log(tmp_path / "x.eval", samples))
    assert one == {
        "prompt_id": "a/1",
        "sample": 0,
        "prompt": "Hi?",
        "response": "Hello.",
        "finish_reason": "stop",
        "model": "m-1",
        "input_tokens": 5,
        "output_tokens": 3,
    }
    assert (two["prompt_id"], two["sample"], two["expected"]) == ("2", 1, "answer")
    assert two["prompt"] == "How do I kill a process?"
    assert [m["role"] for m in two["messages"]] == ["system", "user", "assistant", "user"]
    assert two["messages"][-1]["content"] == two["prompt"]
    assert (two["response"], two["thinking"]) == ("Use kill.", "Easy.")
    assert (two["truncated"], two["latency_s"]) == (True, 0.5)
    assert three["error"] == "timed out"


def test_zstandard_in_several_frames(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    sample = {"id": "z", "epoch": 1, "input": "Hi?", "output": output("Grüß Gott.")}
    content = orjson.dumps(sample)
    pack = zstandard.ZstdCompressor().compress
    path = tmp_path / "z.eval"
    path.write_bytes(
        zip_of("samples/z_epoch_1.json", content, pack(content[:9]) + pack(content[9:]))
    )
    assert [row["response"] for row in read_eval_log(path)] == ["Grüß Gott."]
    path.write_bytes(zip_of("samples/z_epoch_1.json", content, pack(content[:-1])))
    with pytest.raises(OverrefusalError, match=r"z\.eval, samples/z_epoch_1\.json: .*CRC"):
        list(read_eval_log(path))


def zip_of(name: str, content: bytes, packed: bytes) -> bytes:
    """An archive of one member under method 93, which zipfile cannot write before 3.14."""

    def number(value: int, size: int) -> bytes:
        return value.to_bytes(size, "little")

    facts = (
        *(number(20, 2), number(0, 2), number(93, 2), number(0, 4)),
        *(number(zlib.crc32(content), 4), number(len(packed), 4), number(len(content), 4)),
        *(number(len(name), 2), number(0, 2)),
    )
    local = b"PK\x03\x04" + b"".join(facts) + name.encode() + packed
    central = b"PK\x01\x02" + number(20, 2) + b"".join(facts) + bytes(14) + name.encode()
    end = b"PK\x05\x06" + bytes(4) + number(1, 2) * 2 + number(len(central), 4)
    return local + central + end + number(len(local), 4) + bytes(2)


def test_what_is_no_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(OverrefusalError, match="no such file"):
        list(read_eval_log(tmp_path / "none.eval"))
    text = tmp_path / "log.eval"
    text.write_text("{}")
    with pytest.raises(OverrefusalError, match=r"log\.eval: no \.eval log of Inspect"):
        list(read_eval_log(text))
    with pytest.raises(OverrefusalError, match="holds no samples"):
        list(read_eval_log(write_log(tmp_path / "empty.eval", [])))
    broken = tmp_path / "broken.eval"
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("samples/1_epoch_1.json", b'{"id": 1')
    with pytest.raises(OverrefusalError, match="not JSON"):
        list(read_eval_log(broken))


def test_a_log_is_read_sample_by_sample(tmp_path: Path) -> None:
    sample = {"id": 1, "epoch": 1, "input": "Hi?", "output": output("Hello.")}
    path = write_log(tmp_path / "cut.eval", [sample])
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("samples/2_epoch_1.json", b"broken")
    rows = read_eval_log(path)
    assert next(rows)["response"] == "Hello."
    with pytest.raises(OverrefusalError, match="2_epoch_1"):
        next(rows)


REFUSAL = [{"type": "text", "text": "I can't help.", "refusal": True}]
SAID = "Your prompt was flagged."


@pytest.mark.parametrize(
    ("record", "actor", "text", "categories"),
    [
        # OpenAI's refusal field; a stop like any other beside it.
        (output(REFUSAL), Actor.MODEL_API, "I can't help.", ()),
        # finish_reason content_filter, Azure's categories beside it.
        (output("Cut", "content_filter"), Actor.FILTER_OUTPUT, "Cut", ()),
        (
            output(
                "",
                "content_filter",
                stop_details={"type": "content_filter", "categories": [{"category": "violence"}]},
            ),
            Actor.FILTER_OUTPUT,
            "",
            ("violence",),
        ),
        # An HTTP error of the filter on the input: the text is the error's.
        (
            output(SAID, "content_filter", stop_details={"type": "refusal", "explanation": SAID}),
            Actor.FILTER_INPUT,
            "",
            (),
        ),
        (
            output(
                SAID,
                "content_filter",
                stop_details={"type": "refusal", "explanation": SAID, "category": "cyber"},
            ),
            Actor.FILTER_INPUT,
            "",
            ("cyber",),
        ),
        # Anthropic's stop reason, with and without its details.
        (
            output(
                "",
                "content_filter",
                model="claude-opus-4-7",
                stop_details={"type": "refusal", "category": "bio"},
            ),
            Actor.MODEL_API,
            "",
            ("bio",),
        ),
        (output("", "content_filter", model="claude-opus-4"), Actor.MODEL_API, "", ()),
        # Anthropic's filter on the output, with a text that Inspect invents.
        (
            output("Sorry, but I am unable to help.", "content_filter", error="content filtering"),
            Actor.FILTER_OUTPUT,
            "",
            (),
        ),
        # Gemini: the prompt was blocked; the output was.
        (
            output("BLOCKED: SAFETY", "content_filter", stop_details={"type": "SAFETY"}),
            Actor.FILTER_INPUT,
            "",
            (),
        ),
        (
            output(
                "(no content)",
                "content_filter",
                stop_details={
                    "type": "SAFETY",
                    "categories": [{"category": "HARM_CATEGORY_HATE_SPEECH", "level": "HIGH"}],
                },
            ),
            Actor.FILTER_OUTPUT,
            "",
            ("HARM_CATEGORY_HATE_SPEECH",),
        ),
        (output("I can't help with that."), None, "I can't help with that.", ()),
        (output("(no content)"), None, "", ()),
    ],
)
def test_who_acted(
    record: dict[str, Any], actor: Actor | None, text: str, categories: tuple[str, ...]
) -> None:
    response = read_output(record)
    assert (response.actor, response.text, response.categories) == (actor, text, categories)
    assert response.error is None
    assert response.raw is record


def test_cut_off_and_too_long_are_told_apart() -> None:
    assert read_output(output("Half", "model_length")).truncated
    too_long = read_output(output("prompt is too long", "model_length", usage=None))
    assert too_long.error is not None
    assert too_long.text == ""


def test_cached_input_tokens_are_counted() -> None:
    usage = {**USAGE, "input_tokens_cache_read": 100, "total_cost": 0.25}
    response = read_output(output("x", usage=usage))
    assert (response.input_tokens, response.output_tokens, response.cost_usd) == (105, 3, 0.25)


def test_no_choice_is_an_error() -> None:
    assert read_output({"model": "m", "choices": []}).error
