"""Fetching a benchmark of the catalogue: from its home, or from a copy on disk."""

from __future__ import annotations

import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from overrefusal.errors import OverrefusalError
from overrefusal.files import write_whole
from overrefusal.suites.catalogue import CATALOGUE, Benchmark, Source
from overrefusal.suites.files import read_rows
from overrefusal.suites.suite import Suite, cache_folder, load_suite

_TIMEOUT_S = 60


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a fetch left behind: the suite, and what the user should know of it."""

    suite: Suite
    path: Path
    notes: tuple[str, ...]


def fetch(name: str, from_folder: Path | None = None) -> Fetched:
    """Fetch benchmark ``name`` into the cache folder and return it as a suite.

    With ``from_folder`` its files are read from there, searched by name in that folder and one
    below; bytes that differ from the pinned ones are then accepted with a note. A download that
    differs is an error.

    Raises ``OverrefusalError`` for an unknown name, an unreachable home, a missing file or column,
    or a wrong checksum.
    """
    benchmark = CATALOGUE.get(name)
    if benchmark is None:
        raise OverrefusalError(
            f"no benchmark is called {name!r}; the catalogue has {', '.join(CATALOGUE)}"
        )
    folder = cache_folder()
    provenance_file = folder / f"{name}.provenance.json"
    recorded = _recorded(provenance_file)
    notes = [benchmark.note] if benchmark.note else []
    rows: list[dict[str, Any]] = []
    sums: dict[str, str] = {}
    for source in benchmark.sources:
        with _local_copy(source, from_folder) as path:
            sums[source.filename] = _sha256(path)
            wanted = source.sha256 or (None if from_folder else recorded.get(source.filename))
            if wanted and wanted != sums[source.filename]:
                complaint = (
                    f"{source.filename} has the SHA-256 {sums[source.filename][:12]}..., "
                    f"not the {'pinned' if source.sha256 else 'recorded'} {wanted[:12]}..."
                )
                if from_folder is None:
                    raise OverrefusalError(
                        f"{source.url}: {complaint}; nothing was kept. If its home changed it on "
                        f"purpose, remove {provenance_file} and fetch again"
                    )
                notes.append(f"{complaint}: rates may differ from published ones")
            rows += _converted(benchmark, source, path)
    if not rows:
        raise OverrefusalError(f"benchmark {name!r}: none of its rows is part of the exam")
    target = folder / f"{name}.jsonl"
    header = {"suite": benchmark.name, "version": benchmark.version}
    write_whole(target, b"".join(orjson.dumps(row) + b"\n" for row in (header, *rows)))
    write_whole(
        provenance_file,
        orjson.dumps(
            {
                "home": benchmark.home,
                "revision": None if from_folder else benchmark.revision,
                "licence": benchmark.licence,
                "sha256": sums,
            },
            option=orjson.OPT_INDENT_2,
        ),
    )
    return Fetched(load_suite(target), target, tuple(notes))


def _recorded(provenance_file: Path) -> dict[str, str]:
    """The SHA-256 of each file at the first fetch; empty before there was one."""
    try:
        sums = orjson.loads(provenance_file.read_bytes())["sha256"]
        if not isinstance(sums, dict):
            raise TypeError
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise OverrefusalError(f"{provenance_file}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise OverrefusalError(
            f"{provenance_file}: damaged, so what was fetched before cannot be checked; remove it "
            "and fetch again"
        ) from None
    return sums


def _sha256(path: Path) -> str:
    try:
        return sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise OverrefusalError(f"{path}: cannot be read: {error.strerror}") from None


def _converted(benchmark: Benchmark, source: Source, path: Path) -> Iterator[dict[str, Any]]:
    for number, (where, row) in enumerate(_benchmark_rows(path), 1):
        missing = [column for column in source.columns if row.get(column) is None]
        if missing:
            raise OverrefusalError(
                f"{where}: column {missing[0]!r} is missing; {benchmark.name} at revision "
                f"{benchmark.revision} has {', '.join(source.columns)}"
            )
        converted = source.convert(row, number)
        if converted is not None:
            yield {
                **{key: value for key, value in converted.items() if value is not None},
                "source": benchmark.home,
                "licence": benchmark.licence,
            }


def _benchmark_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if path.suffix != ".parquet":
        yield from read_rows(path)
        return
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise OverrefusalError(
            f"{path}: reading Parquet needs pyarrow; install it with: "
            "pip install 'overrefusal[parquet]'"
        ) from None
    try:
        table = parquet.read_table(path).to_pylist()
    except (ArrowException, OSError) as error:
        raise OverrefusalError(f"{path}: not readable as Parquet ({error})") from None
    for number, row in enumerate(table, 1):
        yield f"{path}, row {number}", row


@contextmanager
def _local_copy(source: Source, folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        if not folder.is_dir():
            raise OverrefusalError(f"--from {folder}: no such folder")
        for name in (source.filename, Path(source.filename).name, *source.aliases):
            for candidate in (folder / name, *sorted(folder.glob(f"*/{name}"))):
                if candidate.is_file():
                    yield candidate
                    return
        raise OverrefusalError(f"--from {folder}: no {source.filename} in it")
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / Path(source.filename).name
        try:
            with urllib.request.urlopen(source.url, timeout=_TIMEOUT_S) as answer:
                path.write_bytes(answer.read())
        except (urllib.error.URLError, TimeoutError, OSError) as error:
            raise OverrefusalError(
                f"{source.url}: cannot be fetched ({error}); where you have a copy, use --from DIR"
            ) from None
        yield path
