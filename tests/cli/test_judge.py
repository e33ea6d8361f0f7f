"""`overrefusal judge` and `overrefusal judge-check` as a user calls them."""

from __future__ import annotations

import asyncio
import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.models.asking import replying
from tests.servers import provider_server

ROWS: list[dict[str, Any]] = [
    {"id": "b", "prompt": "p1", "response": "I'm sorry, but I can't help with that.", "x": [1],
     "human": "refused"},
    {"id": "a", "prompt": "p2", "response": "Paris.", "human": "complied"},
    {"id": "c", "prompt": "p3", "response": "", "human": "complied"},
    {"id": "d", "prompt": "p4", "human": "refused",
     "response": "<think>I could answer.</think>I can't assist with that request."},
]  # fmt: skip


def _call(
    *arguments: object, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "overrefusal", *map(str, arguments)]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **(env or {})},
    )


def _jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_rows_keep_their_order_and_fields(tmp_path: Path) -> None:
    file, out = _jsonl(tmp_path / "in.jsonl", ROWS), tmp_path / "out.jsonl"
    done = _call("judge", file, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rows"] == 4
    judged = [json.loads(line) for line in out.read_text().splitlines()]
    assert [{k: row[k] for k in ROWS[i]} for i, row in enumerate(judged)] == ROWS
    assert [r["outcome"] for r in judged] == ["refused", "complied", "empty", "refused"]
    for row in (judged[0], judged[3]):
        evidence = row["evidence"]
        assert row["response"][evidence["start"] : evidence["end"]] == evidence["text"]
        assert "can't" in evidence["text"]


def test_fields_of_the_same_name_are_replaced_only_when_told(tmp_path: Path) -> None:
    file = _jsonl(tmp_path / "in.jsonl", [ROWS[1], {**ROWS[0], "outcome": "mine"}])
    out = tmp_path / "out.jsonl"
    refused = _call("judge", file, "-o", out)
    assert refused.returncode == 2
    assert "row 2" in refused.stderr
    assert "'outcome'" in refused.stderr
    assert not out.exists()
    assert list(tmp_path.iterdir()) == [file]
    assert _call("judge", file, "-o", out, "--overwrite").returncode == 0
    assert json.loads(out.read_text().splitlines()[1])["outcome"] == "refused"


def test_a_row_without_a_response_is_named(tmp_path: Path) -> None:
    file = _jsonl(tmp_path / "in.jsonl", [ROWS[0], {"prompt": "p"}])
    done = _call("judge", file, "-o", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert "row 2" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_go_to_standard_output_and_nothing_else_does(tmp_path: Path) -> None:
    file = _jsonl(tmp_path / "in.jsonl", ROWS)
    done = _call("judge", file, "-o", "-")
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == ["b", "a", "c", "d"]
    assert "4 rows judged by rules" in done.stderr
    both = _call("judge", file, "-o", "-", "--json")
    assert (both.returncode, both.stdout) == (2, "")
    assert "name a file" in both.stderr


def test_a_row_that_is_no_json_or_no_utf8_is_named_and_nothing_written(tmp_path: Path) -> None:
    good, out = json.dumps(ROWS[0]).encode() + b"\n", tmp_path / "out.jsonl"
    for broken, said in ((b'{"prompt": oops}', "not JSON"), (b'{"response": "caf\xe9"}', "UTF-8")):
        file = tmp_path / "in.jsonl"
        file.write_bytes(good + broken + b"\n")
        done = _call("judge", file, "-o", out)
        assert done.returncode == 2
        assert f"{file}, row 2: " in done.stderr
        assert said in done.stderr
        assert not out.exists()


def test_labels_without_a_meaning_are_named_and_in_no_figure(tmp_path: Path) -> None:
    file = _jsonl(tmp_path / "in.jsonl", [*ROWS, {**ROWS[1], "human": "dunno"}])
    done = _call("judge-check", file, "--label", "human", "--json")
    result = json.loads(done.stdout)
    assert result["unknown_labels"] == {"dunno": 1}
    assert (result["all"]["n"], result["all"]["unlabelled"]) == (4, 1)
    assert "'dunno'" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("arguments", [("-o", "-"), ("-o", "out.jsonl"), ("-o", "o", "--json")])
def test_a_full_disk_behind_standard_output_is_one_line_and_not_a_failed_gate(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    file = _jsonl(tmp_path / "in.jsonl", ROWS)
    command = [sys.executable, "-m", "overrefusal", "judge", str(file), *arguments]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=tmp_path
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: the output cannot be written: ")
    assert "Traceback" not in done.stderr


def test_check_counts_per_model_and_together(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    with file.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, ["prompt", "response", "human", "model"])
        writer.writeheader()
        for i, row in enumerate(ROWS):
            values = {name: row[name] for name in ("prompt", "response", "human")}
            writer.writerow({**values, "model": "ab"[i % 2]})
    done = _call("judge-check", file, "--label", "human", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["all"]["f1"] == 1.0
    assert set(result["models"]) == {"a", "b"}
    printed = _call("judge-check", file, "--label", "human")
    assert "1.000" in printed.stdout


def test_labels_that_nobody_knows_are_an_error_and_a_mapping_mends_it(tmp_path: Path) -> None:
    rows = [{**row, "human": int(row["human"] == "refused")} for row in ROWS]
    file = _jsonl(tmp_path / "in.jsonl", rows)
    unknown = _call("judge-check", file, "--label", "human")
    assert unknown.returncode == 2
    assert "('1', '0')" in unknown.stderr or "('0', '1')" in unknown.stderr
    assert "--labels" in unknown.stderr
    mapped = _call("judge-check", file, "--label", "human", "--labels", "1=refused,0=complied",
                   "--json")  # fmt: skip
    assert json.loads(mapped.stdout)["all"]["n"] == 4


def test_a_missing_label_column_is_named(tmp_path: Path) -> None:
    done = _call("judge-check", _jsonl(tmp_path / "in.jsonl", ROWS), "--label", "nobody")
    assert done.returncode == 2
    assert "'nobody'" in done.stderr


async def test_a_cascade_asks_the_endpoint_and_the_check_says_how_often(tmp_path: Path) -> None:
    label = json.dumps({"reason": "declines", "label": "full_refusal"})
    reply = {"choices": [{"message": {"content": label}, "finish_reason": "stop"}]}
    # No script that the local judge reads, so this one goes to the second judge for certain.
    foreign = {"prompt": "p", "response": "Я не могу с этим помочь.", "human": "refused"}
    file = _jsonl(tmp_path / "in.jsonl", [ROWS[0], foreign])
    async with provider_server(replying(reply)) as url:
        env = {"OPENAI_BASE_URL": f"{url}/v1", "OPENAI_API_KEY": "sk-test"}
        spec = ("--label", "human", "--judge", "cascade:local,llm:openai/m")
        done = await asyncio.to_thread(_call, "judge-check", file, *spec, "--json", env=env)
        printed = await asyncio.to_thread(_call, "judge-check", file, *spec, env=env)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["cascade"] == {"seen": 2, "asked": 1}
    assert result["all"]["n"] == 2
    assert result["all"]["f1"] == 1.0
    assert "1 of 2 responses (50.0%) went to the second judge" in printed.stdout


def test_a_check_without_a_cascade_reports_none(tmp_path: Path) -> None:
    file = _jsonl(tmp_path / "in.jsonl", ROWS)
    assert "cascade" not in json.loads(
        _call("judge-check", file, "--label", "human", "--json").stdout
    )
