"""Recorded responses, from real files in every format."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overrefusal.errors import OverrefusalError
from overrefusal.models.registry import open_model
from overrefusal.models.replay import ReplayModel
from overrefusal.models.rows import read_rows
from overrefusal.records import Actor, Message, Request, Response
from tests.shared_data import DATA, needs_data


def _jsonl(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


async def _ask(path: Path, id: str = "p1", text: str = "Hello?", sample: int = 0) -> Response:
    model = ReplayModel(path)
    return await model.answer(Request(id, (Message("user", text),), sample=sample))


async def _only(tmp_path: Path, **row: Any) -> Response:
    return await _ask(_jsonl(tmp_path / "log.jsonl", {"prompt_id": "p1", **row}))


async def test_by_id(tmp_path: Path) -> None:
    log = _jsonl(
        tmp_path / "log.jsonl",
        {"prompt_id": "p0", "response": "No."},
        {"prompt_id": "p1", "response": "Yes.", "label": "complied"},
    )
    r = await _ask(log)
    assert (r.text, r.error, r.actor) == ("Yes.", None, None)
    assert r.raw == {"prompt_id": "p1", "response": "Yes.", "label": "complied"}


async def test_by_text_where_ids_are_missing_or_others(tmp_path: Path) -> None:
    log = _jsonl(tmp_path / "log.jsonl", {"prompt": "Hello?", "completion": "Yes."})
    assert (await _ask(log, "anything")).text == "Yes."
    log = _jsonl(tmp_path / "ids.jsonl", {"id": 7, "prompt": "Hello?", "completion": "Yes."})
    assert (await _ask(log, "p1")).text == "Yes."
    assert (await _ask(log, "7", "Hello?")).text == "Yes."


async def test_what_was_not_recorded_is_an_error(tmp_path: Path) -> None:
    log = _jsonl(tmp_path / "log.jsonl", {"id": "p0", "prompt": "Hi?", "response": "Yes."})
    r = await _ask(log)
    assert r.text == ""
    assert r.error is not None
    assert "log.jsonl records no response to prompt 'p1'" in r.error


async def test_two_files_that_both_count_from_1_are_not_confused(tmp_path: Path) -> None:
    log = _jsonl(
        tmp_path / "log.jsonl",
        {"id": 1, "prompt": "How do I boil an egg?", "response": "Ten minutes."},
        {"id": 2, "prompt": "Name a city in France.", "response": "Lyon."},
    )
    r = await _ask(log, "1", "What is the capital of Peru?")
    assert r.error is not None
    assert "another prompt under the id '1'" in r.error
    assert (await _ask(log, "1", "Name a city in France.")).text == "Lyon."
    assert (await _ask(log, "1", "How do I boil one egg?")).text == "Ten minutes."


async def test_a_recorded_template_around_the_prompt(tmp_path: Path) -> None:
    row = {"id": "p1", "prompt": "[INST] Answer briefly. Hello? [/INST]", "response": "Yes."}
    assert (await _ask(_jsonl(tmp_path / "log.jsonl", row))).text == "Yes."


async def test_samples_by_column_and_by_order(tmp_path: Path) -> None:
    for name, first in (("zero.jsonl", 0), ("one.jsonl", 1)):
        rows = [{"id": "p1", "sample": first + i, "response": f"r{i}"} for i in (2, 0, 1)]
        log = _jsonl(tmp_path / name, *rows)
        assert [(await _ask(log, sample=i)).text for i in range(3)] == ["r0", "r1", "r2"]
    rows = [
        {"id": "other", "prompt": "Hello?", "sample": i, "response": f"r{i}"} for i in (2, 0, 1)
    ]
    log = _jsonl(tmp_path / "text.jsonl", *rows)
    assert [(await _ask(log, sample=i)).text for i in range(3)] == ["r0", "r1", "r2"]
    rows = [{"prompt": "Hello?", "response": f"r{i}"} for i in range(3)]
    log = _jsonl(tmp_path / "order.jsonl", *rows)
    assert [(await _ask(log, sample=i)).text for i in range(3)] == ["r0", "r1", "r2"]
    r = await _ask(log, sample=3)
    assert r.error is not None
    assert "no sample 3" in r.error


def test_the_same_sample_twice(tmp_path: Path) -> None:
    rows = [{"id": "p1", "sample": 0, "response": text} for text in "ab"]
    with pytest.raises(OverrefusalError, match=r"log\.jsonl, row 2: this sample was"):
        ReplayModel(_jsonl(tmp_path / "log.jsonl", *rows))


async def test_one_text_under_two_ids(tmp_path: Path) -> None:
    rows = [{"id": f"p{i}", "prompt": "Hello?", "sample": 0, "response": f"r{i}"} for i in range(2)]
    log = _jsonl(tmp_path / "log.jsonl", *rows)
    assert (await _ask(log, "p0")).text == "r0"
    assert (await _ask(log, "p1")).text == "r1"
    assert [(await _ask(log, "x", sample=i)).text for i in range(2)] == ["r0", "r1"]


async def test_signals(tmp_path: Path) -> None:
    r = await _only(tmp_path, response="Half an", finish_reason="length")
    assert (r.truncated, r.finish_reason) == (True, "length")
    r = await _only(tmp_path, response="", finish_reason="content_filter")
    assert (r.actor, r.error) == (Actor.FILTER_OUTPUT, None)
    r = await _only(tmp_path, response=None, refusal="I'm sorry.")
    assert (r.actor, r.text, r.error) == (Actor.MODEL_API, "I'm sorry.", None)
    r = await _only(tmp_path, response=None, finish_reason="refusal")
    assert (r.actor, r.error) == (Actor.MODEL_API, None)
    r = await _only(tmp_path, response="", actor="filter_input", categories=["violence"])
    assert (r.actor, r.categories) == (Actor.FILTER_INPUT, ("violence",))
    r = await _only(tmp_path, response="<think>Hm.</think>Yes.")
    assert (r.text, r.thinking) == ("Yes.", "Hm.")
    r = await _only(
        tmp_path, response="Yes.", model="m-1", input_tokens=3, output_tokens=4, latency_s=0.5
    )
    assert (r.model_reported, r.input_tokens, r.output_tokens, r.latency_s) == ("m-1", 3, 4, 0.5)


async def test_nothing_recorded_is_not_an_empty_answer(tmp_path: Path) -> None:
    assert (await _only(tmp_path, response="")).error is None
    assert (await _only(tmp_path, response=None)).error == "the row records no response"
    assert (await _only(tmp_path, response=["a"])).error == "the row's response is no text"
    r = await _only(tmp_path, response="", error="HTTP 500")
    assert r.error == "HTTP 500"
    assert (await _only(tmp_path, error="HTTP 500")).error == "HTTP 500"


async def test_csv_with_strings_for_everything(tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    long = "line\n" * 100_000
    with log.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "prompt", "completion", "sample", "truncated", "output_tokens"])
        writer.writerow(["p1", "Hello?", long, "1", "True", "4"])
        writer.writerow(["p1", "Hello?", "", "2", "false", ""])
    first, second = await _ask(log), await _ask(log, sample=1)
    assert (first.text, first.truncated, first.output_tokens) == (long, True, 4)
    assert (second.text, second.truncated, second.output_tokens) == ("", False, None)
    assert second.error is None


async def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    from pyarrow import parquet

    log = tmp_path / "log.parquet"
    columns = {"prompt_id": ["p0", "p1"], "response": ["No.", "Yes."], "categories": [[], ["a"]]}
    parquet.write_table(pyarrow.table(columns), log)
    r = await _ask(log)
    assert (r.text, r.categories) == ("Yes.", ("a",))
    log.write_bytes(b"no parquet")
    with pytest.raises(OverrefusalError, match="not readable as Parquet"):
        ReplayModel(log)


def test_parquet_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    log = tmp_path / "log.parquet"
    log.write_bytes(b"")
    with pytest.raises(OverrefusalError, match=r"overrefusal\[parquet\]"):
        ReplayModel(log)


async def test_multi_turn_by_messages(tmp_path: Path) -> None:
    turns = [("user", "Hi."), ("assistant", "Hello."), ("user", "How?")]
    messages = [{"role": role, "content": text} for role, text in turns]
    log = _jsonl(tmp_path / "log.jsonl", {"messages": messages, "response": "So."})
    model = ReplayModel(log)
    asked = (Message("system", "Be kind."), *(Message(*turn) for turn in turns))
    assert (await model.answer(Request("x", asked))).text == "So."
    assert (await _ask(log, "x", "How?")).error is not None
    row = {"prompt": "How?", "messages": messages, "response": "So."}
    model = ReplayModel(_jsonl(tmp_path / "both.jsonl", row))
    assert (await model.answer(Request("x", asked))).text == "So."


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("log.jsonl", b'{"id": "a", "response": "b"}\nnope\n', "row 2: not JSON"),
        ("log.jsonl", b"[1]\n", "row 1: a JSON list"),
        ("log.jsonl", b'\n{"id": "a"}\n', "row 2: no response; name its column 'response'"),
        ("log.jsonl", b'{"response": "a"}\n', "row 1: nothing to find it by"),
        ("log.jsonl", b'{"id": 1, "sample": "x", "response": "a"}', "row 1: sample 'x'"),
        ("log.csv", b"id,response\na,b,c\n", "row 1: more fields than the header"),
        ("log.csv", b"id,response\na,\xff\n", "not UTF-8"),
        ("log.csv", b'id,response\na,"b\n', "row 1"),
        ("log.txt", b"", r"\.jsonl, \.csv, \.parquet"),
    ],
)
def test_bad_logs_name_the_row(tmp_path: Path, name: str, content: bytes, match: str) -> None:
    log = tmp_path / name
    log.write_bytes(content)
    with pytest.raises(OverrefusalError, match=match) as caught:
        open_model(f"replay/{log}")
    assert "\n" not in str(caught.value)


def test_a_missing_log(tmp_path: Path) -> None:
    with pytest.raises(OverrefusalError, match="no such file"):
        open_model(f"replay/{tmp_path}/none.jsonl")


def test_identity_follows_the_content(tmp_path: Path) -> None:
    log = _jsonl(tmp_path / "log.jsonl", {"id": "a", "response": "b"})
    first = ReplayModel(log)
    assert first.keyed_by_id
    assert first.spec == f"replay/{log}"
    assert first.identity.startswith(first.spec)
    assert ReplayModel(log).identity == first.identity
    _jsonl(log, {"id": "a", "response": "c"})
    assert ReplayModel(log).identity != first.identity


@settings(max_examples=50)
@given(st.text(), st.text(min_size=1))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str, id: str) -> None:
    import asyncio

    log = _jsonl(tmp_path_factory.mktemp("replay") / "log.jsonl", {"id": id, "response": text})
    if "<" not in text and "[" not in text and "◁" not in text:
        assert asyncio.run(_ask(log, id)).text == text


@needs_data
@pytest.mark.parametrize(
    "model", ["gpt4", "llama2orig", "llama2new", "mistralguard", "mistralinstruct"]
)
async def test_published_completions_answer_the_published_prompts(model: str) -> None:
    assert DATA is not None
    replay = ReplayModel(DATA / "xstest" / f"completions_{model}.csv")
    found = 0
    for _, row in read_rows(DATA / "xstest" / "xstest_prompts.csv"):
        asked = Request(f"v2-{row['id']}", (Message("user", row["prompt"]),))
        r = await replay.answer(asked)
        found += r.error is None and r.raw["id"] == asked.prompt_id
    assert found == 450


def test_two_models_answers_to_one_prompt_are_no_samples_of_one(tmp_path: Path) -> None:
    rows = [{"prompt": "Hello?", "response": "Yes.", "model": model} for model in ("a", "b")]
    with pytest.raises(OverrefusalError, match=r"row 2: .* model 'a' .*'b'; split the file"):
        ReplayModel(_jsonl(tmp_path / "log.jsonl", *rows))


async def test_one_models_answers_to_one_prompt_are_samples(tmp_path: Path) -> None:
    rows = [{"prompt": "Hello?", "response": text, "model": "a"} for text in ("Yes.", "No.")]
    log = _jsonl(tmp_path / "log.jsonl", *rows)
    assert [(await _ask(log, sample=i)).text for i in (0, 1)] == ["Yes.", "No."]
    numbered = [{**row, "sample": i, "model": "ab"[i]} for i, row in enumerate(rows)]
    assert (await _ask(_jsonl(tmp_path / "n.jsonl", *numbered), sample=1)).text == "No."
