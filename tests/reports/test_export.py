import json

import pytest

from overrefusal import Expected, Outcome, OverrefusalError, Pattern
from overrefusal.reports.export import export
from tests.reports.made_runs import made_run, prompt

ANSWERS = {
    prompt("a", pattern=Pattern.DUAL_USE, category="c\u2028x"): Outcome.COMPLIED,
    prompt("b"): Outcome.ERROR,
    prompt("h", Expected.REFUSE): Outcome.REFUSED,
}
TEXT = "first\nsecond \x00\x1b \u202e \ud800 \U0001f600"
MENDED = TEXT.replace("\ud800", "\N{REPLACEMENT CHARACTER}")


@pytest.fixture
def run(tmp_path):
    return made_run(tmp_path, ANSWERS, text=TEXT)


def test_jsonl_is_one_row_a_line_whatever_the_text(run, tmp_path):
    file = tmp_path / "new" / "run.jsonl"
    assert export(run, file, "jsonl") == 3
    rows = [json.loads(line) for line in file.read_bytes().split(b"\n")[:-1]]
    assert [row["response"] for row in rows] == [MENDED, None, MENDED]
    assert [row["outcome"] for row in rows] == ["complied", "error", "refused"]
    assert rows[0]["category"] == "c\u2028x"
    assert rows[1]["error"] == "no"


def test_parquet_holds_the_same_rows(run, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    export(run, tmp_path / "run.parquet", "parquet")
    export(run, tmp_path / "run.jsonl", "jsonl")
    lines = (tmp_path / "run.jsonl").read_bytes().splitlines()
    rows = parquet.read_table(tmp_path / "run.parquet").to_pylist()
    assert rows == [json.loads(line) for line in lines]


def test_what_cannot_be_written_is_named_and_nothing_is_left(run, tmp_path):
    (tmp_path / "taken").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OverrefusalError, match="taken: cannot be written"):
        export(run, tmp_path / "taken", "jsonl")
    assert sorted(tmp_path.iterdir()) == before
