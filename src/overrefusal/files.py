"""Files written whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from overrefusal.errors import OverrefusalError

_SURROGATE = re.compile("[\ud800-\udfff]")


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to; it takes its place when the block ends well.

    Folders are made as needed. What is no regular file (``/dev/stdout``, a pipe) cannot be
    replaced: the block is given ``path`` itself. Raises ``OverrefusalError`` where the file cannot
    be written; whatever the block raises leaves ``path`` as it was.
    """
    try:
        if path.exists() and not path.is_file():
            yield path
            return
        # Through a symbolic link, so that the file it names is replaced and not the link.
        target = path.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{os.getpid()}")
        try:
            yield temporary
            os.replace(temporary, target)
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise OverrefusalError(f"{path}: cannot be written: {error.strerror or error}") from None


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file whole or not at all; text as UTF-8, lone surrogates replaced.

    Raises ``OverrefusalError`` where it cannot be written.
    """
    data = valid(content).encode() if isinstance(content, str) else content
    with whole(path) as temporary:
        temporary.write_bytes(data)


def valid(text: str) -> str:
    """``text`` with lone surrogates, which neither UTF-8 nor JSON can carry, replaced by U+FFFD."""
    return _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text)
