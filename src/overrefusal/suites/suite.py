"""A suite: labelled prompts with a content hash, read as often as wanted, never held whole."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b, sha256
from importlib.resources import files as package_files
from itertools import islice
from pathlib import Path

import orjson

from overrefusal.errors import OverrefusalError
from overrefusal.records import Expected, Group, Prompt
from overrefusal.suites.files import read_header, read_rows
from overrefusal.suites.rows import read_row, to_row

BUNDLED = ("starter",)


@dataclass(frozen=True)
class Suite:
    """Prompts in a fixed order.

    Iterating reads the source anew, so that a suite of a million rows costs no memory.
    ``content_hash`` (SHA-256, hex) covers every field of every prompt in order and nothing of the
    file's format; ``version`` is the comparability version: rates of two versions of one suite are
    not to be compared.
    """

    name: str
    version: str
    content_hash: str
    size: int
    groups: Counter[Group]
    languages: Counter[str]
    categories: Counter[str]
    patterns: Counter[str]
    read: Callable[[], Iterator[Prompt]]

    def __iter__(self) -> Iterator[Prompt]:
        return self.read()

    def __len__(self) -> int:
        return self.size


def load_suite(
    name_or_file: str | Path, *, language: str | None = None, limit: int | None = None
) -> Suite:
    """The suite of that name (bundled or fetched) or in that file, checked as a whole.

    ``language`` keeps only prompts in it; ``limit`` keeps the first so many. A kept part is a
    suite of its own with its own hash.

    Raises ``OverrefusalError`` for an unknown name, a broken row, a duplicate id, a ``contrast_of``
    that names no harmful prompt of the suite, or a suite without prompts.
    """
    path = _locate(name_or_file)
    header = read_header(path)

    def read() -> Iterator[Prompt]:
        prompts: Iterator[Prompt] = (read_row(row, where) for where, row in read_rows(path))
        if language is not None:
            prompts = (p for p in prompts if p.language == language)
        return islice(prompts, limit)

    name = header.name or path.stem
    if language is not None:
        name += f"[{language}]"
    if limit is not None:
        name += f"[:{limit}]"
    part = language is not None or limit is not None
    return _examined(name, header.version or "1", read, str(path), whole=not part)


def suite_of(name: str, prompts: Iterable[Prompt], *, version: str = "1") -> Suite:
    """A suite made of ``prompts`` in memory, checked like one from a file."""
    kept = tuple(prompts)
    return _examined(name, version, lambda: iter(kept), name, whole=True)


def canonical(prompt: Prompt) -> bytes:
    """The prompt as one line of JSON: what a suite's content hash is the SHA-256 of, line by line.

    Raises ``TypeError`` for text that is no valid Unicode.
    """
    return orjson.dumps(to_row(prompt), option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


def cache_folder() -> Path:
    """Where fetched suites lie: ``$OVERREFUSAL_HOME/suites``, by default in ``~/.overrefusal``."""
    home = os.environ.get("OVERREFUSAL_HOME")
    return (Path(home) if home else Path.home() / ".overrefusal") / "suites"


def _locate(name_or_file: str | Path) -> Path:
    name = str(name_or_file)
    if name in BUNDLED:
        return Path(str(package_files("overrefusal.suites") / f"{name}.jsonl"))
    fetched = cache_folder() / f"{name}.jsonl"
    if isinstance(name_or_file, str) and os.sep not in name and fetched.is_file():
        return fetched
    path = Path(name_or_file)
    if path.is_file():
        return path
    from overrefusal.suites.catalogue import CATALOGUE

    if name in CATALOGUE:
        raise OverrefusalError(
            f"suite {name!r} is not on this machine; run: overrefusal suite fetch {name}"
        )
    raise OverrefusalError(
        f"no suite and no file is called {name!r}; `overrefusal suite list` shows the names"
    )


def _examined(
    name: str, version: str, read: Callable[[], Iterator[Prompt]], where: str, *, whole: bool
) -> Suite:
    digest = sha256()
    ids: set[int] = set()
    harmful: set[int] = set()
    contrasts: dict[int, str] = {}
    groups: Counter[Group] = Counter()
    languages: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    patterns: Counter[str] = Counter()
    size = 0
    for prompt in read():
        size += 1
        key = _short(prompt.id)
        if key in ids:
            raise OverrefusalError(
                f"{where}: the id {prompt.id!r} stands twice; every prompt needs its own"
            )
        ids.add(key)
        if prompt.expected is Expected.REFUSE:
            harmful.add(key)
        if prompt.contrast_of is not None:
            contrasts[_short(prompt.contrast_of)] = prompt.contrast_of
        groups[prompt.group] += 1
        languages[prompt.language] += 1
        categories[prompt.category or "-"] += 1
        if prompt.pattern is not None:
            patterns[prompt.pattern.value] += 1
        try:
            digest.update(canonical(prompt))
        except TypeError:
            raise OverrefusalError(
                f"{where}: prompt {prompt.id!r} holds a lone surrogate, which is no valid Unicode"
            ) from None
    if size == 0:
        raise OverrefusalError(f"{where}: no prompts in it")
    missing = [twin for key, twin in contrasts.items() if key not in harmful]
    # A part of a suite may have left a twin behind.
    if missing and whole:
        raise OverrefusalError(
            f"{where}: 'contrast_of' names {missing[0]!r}, which is no harmful prompt of this suite"
        )
    return Suite(
        name=name,
        version=version,
        content_hash=digest.hexdigest(),
        size=size,
        groups=groups,
        languages=languages,
        categories=categories,
        patterns=patterns,
        read=read,
    )


def _short(text: str) -> int:
    """Eight bytes instead of the id: what keeps the check of a million rows small."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())
