"""Inspect's ``.eval`` logs, read sample by sample and without Inspect."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from overrefusal.errors import OverrefusalError
from overrefusal.models.inspect_output import read_output
from overrefusal.models.payload import MalformedReply, as_int, decode

_ZSTANDARD = 93
"""The compression method that Inspect uses; Python's zipfile knows it from 3.14 on."""
_LOCAL_HEADER = 30
"""Bytes of a member's local header before its name and extra field (APPNOTE.TXT, 4.3.7)."""


def read_eval_log(path: str | Path) -> Iterator[dict[str, Any]]:
    """Yields one row a sample and epoch of a log, in the log's order.

    A row has ``prompt_id``, ``sample`` (from 0), ``prompt`` (the input's last user turn),
    ``messages`` where the input was a conversation, ``response``, ``thinking``, ``finish_reason``,
    ``actor``, ``categories``, ``truncated``, ``error``, ``model``, ``input_tokens``,
    ``output_tokens``, ``latency_s``, ``cost_usd``, and ``expected`` where the sample's metadata
    has it: what a log of recorded responses holds. One sample is in memory at a time.

    Raises ``OverrefusalError`` where ``path`` is no such log or a sample cannot be read.
    """
    path = Path(path)
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise OverrefusalError(f"{path}: no such file") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise OverrefusalError(
            f"{path}: no .eval log of Inspect ({error}); a .json log becomes one by "
            "`inspect log convert --to eval`"
        ) from None
    with archive:
        members = [m for m in archive.infolist() if _is_sample(m.filename)]
        if not members:
            raise OverrefusalError(f"{path}: holds no samples; is it a log of Inspect?")
        for member in members:
            try:
                sample = decode(_content(archive, member))
            except (MalformedReply, OSError, zipfile.BadZipFile, EOFError) as error:
                raise OverrefusalError(f"{path}, {member.filename}: {error}") from None
            yield _row(sample)


def _is_sample(name: str) -> bool:
    return name.startswith("samples/") and name.endswith(".json")


def _content(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    try:
        return archive.read(member)
    except NotImplementedError:
        if member.compress_type != _ZSTANDARD:
            raise zipfile.BadZipFile("its compression method is unknown") from None
    try:
        import zstandard
    except ImportError:
        raise OverrefusalError(
            f"{archive.filename} is compressed with Zstandard: pip install zstandard"
        ) from None
    assert archive.fp is not None
    archive.fp.seek(member.header_offset)
    header = archive.fp.read(_LOCAL_HEADER)
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    archive.fp.seek(lengths, 1)
    packed = BytesIO(archive.fp.read(member.compress_size))
    try:
        # Inspect writes large members as several frames.
        with zstandard.ZstdDecompressor().stream_reader(packed, read_across_frames=True) as stream:
            content: bytes = stream.read()
    except zstandard.ZstdError as error:
        raise zipfile.BadZipFile(str(error)) from None
    if zlib.crc32(content) != member.CRC:
        raise zipfile.BadZipFile("its content is damaged (CRC)")
    return content


def _row(sample: dict[str, Any]) -> dict[str, Any]:
    response = read_output(sample.get("output") or {})
    failure = sample.get("error")
    error = failure.get("message") if isinstance(failure, dict) else response.error
    asked = sample.get("input")
    turns = asked if isinstance(asked, list) else [{"role": "user", "content": asked}]
    messages = [{"role": m["role"], "content": _text(m.get("content"))} for m in turns]
    users = [m["content"] for m in messages if m["role"] == "user"]
    row: dict[str, Any] = {
        "prompt_id": str(sample.get("id")),
        "sample": (as_int(sample.get("epoch")) or 1) - 1,
        "prompt": users[-1] if users else None,
        "messages": messages if len(messages) > 1 else None,
        "response": response.text,
        "thinking": response.thinking,
        "finish_reason": response.finish_reason,
        "actor": response.actor and response.actor.value,
        "categories": list(response.categories) or None,
        "truncated": response.truncated or None,
        "error": error,
        "model": response.model_reported,
        "input_tokens": response.input_tokens,
        "output_tokens": response.output_tokens,
        "latency_s": response.latency_s,
        "cost_usd": response.cost_usd,
        "expected": (sample.get("metadata") or {}).get("expected"),
    }
    return {name: value for name, value in row.items() if value is not None}


def _text(content: Any) -> str:
    """The text of a message, whose content is a string or a list of parts."""
    if isinstance(content, list):
        return "\n".join(p.get("text") or "" for p in content if p.get("type") == "text")
    return content if isinstance(content, str) else ""
