"""Rows of a suite file, one at a time: JSONL and CSV stream, YAML is read whole."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from overrefusal.errors import OverrefusalError

FORMATS = (".jsonl", ".csv", ".yaml", ".yml")
# A prompt may be long; the csv module stops at 128 KiB a field unless told otherwise.
_YAML_DEPTH = 20
_CSV_FIELD_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Header:
    """What a suite file says of itself."""

    name: str | None = None
    version: str | None = None


def read_header(path: Path) -> Header:
    """The file's own name and comparability version, where it states them.

    YAML states them as ``suite`` and ``version`` beside ``prompts``; JSONL in a first line
    ``{"suite": ..., "version": ...}``; CSV cannot.
    """
    if path.suffix in (".yaml", ".yml"):
        document = _load_yaml(path)
        if isinstance(document, dict):
            return _header(document)
    if path.suffix == ".jsonl":
        with _open(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    row = _parse(line, f"{path}, line {number}")
                    return _header(row) if "suite" in row else Header()
    return Header()


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pairs of a place (for messages: file and line) and the row there.

    Raises ``OverrefusalError`` for a file that is missing, of another format, not UTF-8, or
    broken at a line.
    """
    if path.suffix == ".jsonl":
        yield from _jsonl(path)
    elif path.suffix == ".csv":
        yield from _csv(path)
    elif path.suffix in (".yaml", ".yml"):
        yield from _yaml(path)
    else:
        raise OverrefusalError(f"{path}: a suite file ends in {', '.join(FORMATS)}")


def _header(row: dict[str, Any]) -> Header:
    name, version = row.get("suite"), row.get("version")
    return Header(
        name=None if name is None else str(name),
        version=None if version is None else str(version),
    )


def _open(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise OverrefusalError(f"{path}: cannot be read: {error.strerror}") from None


def _parse(line: bytes, where: str) -> dict[str, Any]:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode()
        except UnicodeDecodeError:
            raise _not_utf8(where) from None
        raise OverrefusalError(f"{where}: not JSON: {error}") from None
    if not isinstance(row, dict):
        raise OverrefusalError(f"{where}: a JSON object is wanted, with the prompt's fields")
    return row


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    first = True
    with _open(path) as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            where = f"{path}, line {number}"
            row = _parse(line, where)
            if not (first and "suite" in row):
                yield where, row
            first = False


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    csv.field_size_limit(_CSV_FIELD_LIMIT)
    with _open(path):
        pass
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        try:
            for row in reader:
                where = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise OverrefusalError(
                        f"{where}: the row has not as many cells as the header; check its quotes"
                    )
                yield where, dict(row)
        except UnicodeDecodeError:
            raise _not_utf8(f"{path}, after line {reader.line_num}") from None
        except csv.Error as error:
            raise OverrefusalError(f"{path}, line {reader.line_num}: {error}") from None


def _yaml(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    document = _load_yaml(path)
    rows = document.get("prompts") if isinstance(document, dict) else document
    if not isinstance(rows, list):
        raise OverrefusalError(f"{path}: a list of prompts is wanted, or one under 'prompts'")
    for number, row in enumerate(rows, 1):
        where = f"{path}, prompt {number}"
        if not isinstance(row, dict):
            raise OverrefusalError(f"{where}: a mapping of fields is wanted")
        yield where, row


def _load_yaml(path: Path) -> Any:
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with _open(path) as stream:
        text = stream.read()
    try:
        decoded = text.decode("utf-8-sig")
        # The C loader recurses without a limit of its own, and would take the process down.
        depth = 0
        for event in yaml.parse(decoded, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _YAML_DEPTH:
                raise OverrefusalError(f"{path}: nested more than {_YAML_DEPTH} levels deep")
        return yaml.load(decoded, Loader=loader)
    except UnicodeDecodeError:
        raise _not_utf8(str(path)) from None
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = f"{path}, line {line + 1}" if line is not None else str(path)
        problem = getattr(error, "problem", None) or "cannot be parsed"
        raise OverrefusalError(f"{place}: not YAML: {problem}") from None


def _not_utf8(where: str) -> OverrefusalError:
    return OverrefusalError(f"{where}: not UTF-8; save the file in that encoding")
