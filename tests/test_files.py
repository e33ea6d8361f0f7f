"""Files are written whole or not at all."""

import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overrefusal.errors import OverrefusalError
from overrefusal.files import valid, whole, write_whole


def test_folders_are_made_and_an_older_file_is_replaced(tmp_path):
    path = tmp_path / "a" / "b.txt"
    write_whole(path, "one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path):
    path = tmp_path / "b.txt"
    path.write_text("old")

    def broken():
        with whole(path) as temporary:
            temporary.write_text("half")
            raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        broken()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_where_nothing_can_be_written_the_path_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file" / "x", tmp_path):
        with pytest.raises(OverrefusalError, match="cannot be written") as raised:
            write_whole(path, "x")
        assert str(raised.value).startswith(f"{path}: ")
    assert (tmp_path / "file").read_text() == ""


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_whole(tmp_path / "link", "x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "x"


def test_a_pipe_is_written_to_and_stays_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_whole(pipe, "through")
        assert os.read(reader, 100) == b"through"
    finally:
        os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@given(st.text(st.characters(exclude_categories=()), max_size=50))
def test_valid_text_is_utf8_of_the_same_length(text):
    mended = valid(text)
    mended.encode()
    assert len(mended) == len(text)
    assert all(a == b or "\ud800" <= a <= "\udfff" for a, b in zip(text, mended, strict=True))
