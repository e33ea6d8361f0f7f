import shutil

import pytest

from overrefusal import Expected, OverrefusalError, Pattern, load_suite
from overrefusal.suites.catalogue import CATALOGUE
from overrefusal.suites.fetch import fetch
from tests.shared_data import DATA, needs_data


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("OVERREFUSAL_HOME", str(tmp_path / "home"))


def test_the_catalogue_names_home_revision_licence_and_checksum_policy():
    assert set(CATALOGUE) == {
        "xstest", "or-bench-80k", "or-bench-hard-1k", "or-bench-toxic", "falsereject-train",
        "falsereject-test", "oktest", "phtest", "coconot",
    }  # fmt: skip
    for entry in CATALOGUE.values():
        assert entry.home.startswith("https://")
        assert entry.revision
        assert entry.licence
        assert entry.sources
        for source in entry.sources:
            assert source.columns
            assert entry.revision in source.url


@needs_data
@pytest.mark.parametrize(
    ("name", "folder", "size", "side"),
    [
        ("xstest", "xstest", 450, None),
        ("or-bench-hard-1k", "or_bench", 1319, Expected.ANSWER),
        ("or-bench-toxic", "or_bench", 655, Expected.REFUSE),
    ],
)
def test_a_copy_on_disk_becomes_a_suite(name, folder, size, side):
    fetched = fetch(name, DATA / folder)
    suite = load_suite(name)
    assert (len(suite), suite.content_hash) == (size, fetched.suite.content_hash)
    expected = [prompt.expected for prompt in suite]
    if side is None:
        assert expected.count(Expected.ANSWER) == 250
        assert all((p.pattern is not None) == (p.expected is Expected.ANSWER) for p in suite)
        assert all(p.pattern in (None, *Pattern) for p in suite)
    else:
        assert set(expected) == {side}
    assert all(prompt.licence and prompt.source for prompt in suite)


@needs_data
def test_another_copy_is_taken_with_a_note(tmp_path):
    shutil.copy(DATA / "xstest" / "xstest_prompts.csv", tmp_path)
    with (tmp_path / "xstest_prompts.csv").open("a") as file:
        file.write("451,Where is the park?,homonyms,safe,park,\n")
    fetched = fetch("xstest", tmp_path)
    assert len(fetched.suite) == 451
    assert any("not the pinned" in note for note in fetched.notes)


def test_what_is_wrong_with_a_copy_is_said(tmp_path):
    with pytest.raises(OverrefusalError, match="no benchmark is called 'xtest'"):
        fetch("xtest", tmp_path)
    with pytest.raises(OverrefusalError, match=r"no xstest_prompts\.csv in it"):
        fetch("xstest", tmp_path)
    (tmp_path / "xstest_prompts.csv").write_text("id,prompt,label\n1,Hello,safe\n")
    with pytest.raises(OverrefusalError, match="column 'type' is missing"):
        fetch("xstest", tmp_path)
    with pytest.raises(OverrefusalError, match="no such folder"):
        fetch("xstest", tmp_path / "nowhere")


def test_a_changed_download_is_refused_once_recorded(tmp_path, monkeypatch):
    import dataclasses

    from overrefusal.suites import fetch as module

    page = tmp_path / "OKTest.csv"
    page.write_text("prompt\nHow do I kill weeds?\n")
    entry = CATALOGUE["oktest"]
    source = dataclasses.replace(entry.sources[0], url=page.as_uri())
    changed = {**CATALOGUE, "oktest": dataclasses.replace(entry, sources=(source,))}
    monkeypatch.setattr(module, "CATALOGUE", changed)
    assert len(fetch("oktest").suite) == 1
    page.write_text("prompt\nHow do I kill weeds?\nAnother\n")
    with pytest.raises(OverrefusalError, match="not the recorded"):
        fetch("oktest")
    page.unlink()
    with pytest.raises(OverrefusalError, match="use --from DIR"):
        fetch("oktest")


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"sha256": 3}', b"{}"])
def test_a_damaged_record_of_an_earlier_fetch_is_said(tmp_path, damage):
    (tmp_path / "OKTest.csv").write_text("prompt\nHow do I kill weeds?\n")
    record = fetch("oktest", tmp_path).path.with_name("oktest.provenance.json")
    record.write_bytes(damage)
    with pytest.raises(OverrefusalError, match=r"oktest\.provenance\.json: damaged"):
        fetch("oktest", tmp_path)


def test_a_cache_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch):
    (tmp_path / "OKTest.csv").write_text("prompt\nHow do I kill weeds?\n")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OVERREFUSAL_HOME", str(tmp_path / "file"))
    with pytest.raises(OverrefusalError, match="file/suites/oktest"):
        fetch("oktest", tmp_path)


def test_parquet_that_is_none_is_said(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "original").mkdir()
    (tmp_path / "original" / "test-00000-of-00001.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(OverrefusalError, match="not readable as Parquet"):
        fetch("coconot", tmp_path)


def test_a_benchmark_at_a_branch_is_not_called_pinned():
    assert {name for name, entry in CATALOGUE.items() if not entry.pinned} == {"oktest", "phtest"}
    for entry in CATALOGUE.values():
        assert ("revision not pinned" in entry.checksum_policy) is (not entry.pinned)


def test_coconot_reads_both_its_parquet_files(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    for part, category in (("original", "Requests with safety concerns"), ("contrast", "Other")):
        (tmp_path / part).mkdir()
        rows = [{"id": f"{part}-1", "category": category, "subcategory": "s", "prompt": "Why?"}]
        if part == "original":
            rows.append({**rows[0], "id": "original-2", "category": "Incomplete requests"})
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / part / "test-00000-of-00001.parquet")
    assert [p.expected for p in fetch("coconot", tmp_path).suite] == ["refuse", "answer"]
