"""Rows of a log of recorded responses: JSONL, CSV, Parquet or Inspect's own."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from overrefusal.errors import OverrefusalError
from overrefusal.models.inspect_log import read_eval_log
from overrefusal.models.payload import MalformedReply, decode


def read_rows(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields ``(row number, row)`` of a log, one at a time; rows count from 1, as lines do.

    CSV values are strings; blank lines of JSONL are skipped. Raises ``OverrefusalError`` naming
    file and row for what cannot be read, and the extra for Parquet without pyarrow.
    """
    path = Path(path)
    if not path.is_file():
        raise OverrefusalError(f"{path}: no such file of recorded responses")
    suffix = path.suffix.lower()
    if suffix in (".jsonl", ".ndjson"):
        return _jsonl(path)
    if suffix == ".csv":
        return _csv(path)
    if suffix == ".parquet":
        return _parquet(path)
    if suffix == ".eval":
        return enumerate(read_eval_log(path), 1)
    formats = ".jsonl, .csv, .parquet and Inspect's .eval"
    raise OverrefusalError(f"{path}: recorded responses are read from {formats}")


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.strip():
                try:
                    # What a server sends may be broken; a file of another encoding must not be
                    # judged with its letters replaced.
                    line.decode()
                    yield number, decode(line)
                except UnicodeDecodeError:
                    raise OverrefusalError(
                        f"{path}, row {number}: not UTF-8; save it as UTF-8"
                    ) from None
                except MalformedReply as error:
                    raise OverrefusalError(
                        f"{path}, row {number}: {error}; write one JSON object a line"
                    ) from None


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    # The csv module's default limit, 131,072 characters a field, is less than a long response.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    number = 0
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            for number, row in enumerate(csv.DictReader(file, strict=True), 1):
                if None in row:
                    raise OverrefusalError(f"{path}, row {number}: more fields than the header has")
                yield number, row
        except UnicodeDecodeError:
            raise OverrefusalError(
                f"{path}, after row {number}: not UTF-8; save it as UTF-8"
            ) from None
        except csv.Error as error:
            raise OverrefusalError(f"{path}, row {number + 1}: {error}") from None


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise OverrefusalError(
            f"{path}: reading Parquet needs pyarrow: pip install 'overrefusal[parquet]'"
        ) from None
    number = 0
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=1000):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except (ArrowException, OSError) as error:
        raise OverrefusalError(f"{path}: not readable as Parquet ({error})") from None
