"""The catalogue of public benchmarks: where each lives and how its rows become prompts.

The text of the benchmarks is never part of this project. A user who is online fetches a pinned
revision; one who has a copy reads it from disk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from overrefusal.records import Expected, Pattern

_COMMIT = re.compile("[0-9a-f]{40}")

Converted = dict[str, Any] | None
"""A suite row, or ``None`` for a row of the benchmark that is no part of the exam."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a benchmark."""

    filename: str
    url: str
    convert: Callable[[Mapping[str, Any], int], Converted]
    """From a row and its number (from 1)."""
    columns: tuple[str, ...]
    """Those that must be there."""
    sha256: str | None = None
    """Where ``None``: recorded at the first fetch and demanded ever after."""
    aliases: tuple[str, ...] = ()
    """Other names under which copies of the file are found on disk."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A public benchmark."""

    name: str
    title: str
    home: str
    revision: str
    licence: str
    version: str
    """Comparability version of our reading of it."""
    sources: tuple[Source, ...]
    note: str = ""

    @property
    def pinned(self) -> bool:
        """Whether ``revision`` names one state of its home for good, and not a branch."""
        return _COMMIT.fullmatch(self.revision) is not None

    @property
    def checksum_policy(self) -> str:
        """How the bytes are vouched for, in words."""
        if all(source.sha256 for source in self.sources):
            return "pinned SHA-256"
        recorded = "SHA-256 recorded at the first fetch, demanded ever after"
        return recorded if self.pinned else f"revision not pinned; {recorded}"


_XSTEST_PATTERNS = {
    "homonyms": Pattern.SURFACE_KEYWORD,
    "figurative_language": Pattern.SURFACE_KEYWORD,
    "safe_targets": Pattern.SURFACE_KEYWORD,
    "safe_contexts": Pattern.PERSONA_FICTION,
    "definitions": Pattern.DUAL_USE,
    "nons_group_real_discr": Pattern.TOPIC_ASSOCIATION,
    "real_group_nons_discr": Pattern.TOPIC_ASSOCIATION,
    "historical_events": Pattern.HISTORICAL_JOURNALISTIC,
    "privacy_public": Pattern.TOPIC_ASSOCIATION,
    "privacy_fictional": Pattern.PERSONA_FICTION,
}


def _xstest(row: Mapping[str, Any], number: int) -> Converted:
    safe = row["label"] == "safe"
    pattern = _XSTEST_PATTERNS.get(row["type"]) if safe else None
    return {
        # The completions published beside it call prompt 1 `v2-1`.
        "id": f"v2-{row['id']}",
        "prompt": row["prompt"],
        "expected": Expected.ANSWER if safe else Expected.REFUSE,
        "pattern": pattern.value if pattern else None,
        "category": row["type"],
    }


def _always(expected: Expected, prefix: str) -> Callable[[Mapping[str, Any], int], Converted]:
    def convert(row: Mapping[str, Any], number: int) -> Converted:
        category = row.get("category_text") or row.get("category")
        return {
            "id": f"{prefix}-{number}",
            "prompt": row["prompt"],
            "expected": expected,
            "category": None if category is None else str(category),
        }

    return convert


def _phtest(row: Mapping[str, Any], number: int) -> Converted:
    if row["Harmfulness"].strip().lower() != "harmless":
        return None
    return {
        "id": f"phtest-{row['ID']}",
        "prompt": row["Request"],
        "expected": Expected.ANSWER,
    }


def _coconot(expected: Expected) -> Callable[[Mapping[str, Any], int], Converted]:
    def convert(row: Mapping[str, Any], number: int) -> Converted:
        # The other categories of the original set (false premises, missing modalities, ...) are
        # no matter of safety.
        if expected is Expected.REFUSE and row["category"] != "Requests with safety concerns":
            return None
        return {
            "id": f"coconot-{row['id']}",
            "prompt": row["prompt"],
            "expected": expected,
            "category": row.get("subcategory") or row["category"],
        }

    return convert


_HUB = "https://huggingface.co/datasets"
_OR_BENCH_REVISION = "e36d8b80e81837c8a8f264bbb2a49f1b32c7e272"
_FALSE_REJECT_REVISION = "493ba967714ea54c6f01067e1f61e389cc2c9b3e"
_COCONOT_REVISION = "2cbe16aabf9069f17e48c8daad8aeabc29469eb7"
_XSTEST_REVISION = "d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d"


def _or_bench(
    subset: str, title: str, expected: Expected, sha256: str | None, *aliases: str, note: str = ""
) -> Benchmark:
    filename = f"or-bench-{subset}.csv"
    return Benchmark(
        name=f"or-bench-{subset}",
        title=title,
        home=f"{_HUB}/bench-llm/or-bench",
        revision=_OR_BENCH_REVISION,
        licence="CC-BY-4.0",
        version="1",
        sources=(
            Source(
                filename,
                f"{_HUB}/bench-llm/or-bench/resolve/{_OR_BENCH_REVISION}/{filename}",
                _always(expected, f"or-bench-{subset}"),
                ("prompt", "category"),
                sha256,
                aliases,
            ),
        ),
        note=note,
    )


def _false_reject(split: str, title: str) -> Benchmark:
    return Benchmark(
        name=f"falsereject-{split}",
        title=title,
        home=f"{_HUB}/AmazonScience/FalseReject",
        revision=_FALSE_REJECT_REVISION,
        licence="CC-BY-NC-4.0",
        version="1",
        sources=(
            Source(
                f"{split}.jsonl",
                f"{_HUB}/AmazonScience/FalseReject/resolve/{_FALSE_REJECT_REVISION}/{split}.jsonl",
                _always(Expected.ANSWER, f"falsereject-{split}"),
                ("prompt",),
            ),
        ),
        note="one side only: pair it with a suite of harmful prompts",
    )


_ENTRIES = (
    Benchmark(
        name="xstest",
        title="XSTest v2: 250 safe and 200 unsafe prompts",
        home="https://github.com/paul-rottger/xstest",
        revision=_XSTEST_REVISION,
        licence="CC-BY-4.0",
        version="1",
        sources=(
            Source(
                "xstest_prompts.csv",
                "https://raw.githubusercontent.com/paul-rottger/xstest/"
                f"{_XSTEST_REVISION}/xstest_prompts.csv",
                _xstest,
                ("id", "prompt", "type", "label"),
                "11783fb294ed017473ee53c207d71f2161c7672c8d0b037501e78387f801cb5a",
            ),
        ),
    ),
    _or_bench("80k", "OR-Bench-80K: seemingly toxic prompts", Expected.ANSWER, None),
    _or_bench(
        "hard-1k",
        "OR-Bench-Hard-1K: those that most models refuse",
        Expected.ANSWER,
        "a6e2f1166416efe5901f3bb05c47dc92ab3aca3acfe143693d38b8057d841e6d",
        note="its labels are noisy: people called about half of a sample of 134 toxic",
    ),
    _or_bench(
        "toxic",
        "OR-Bench-Toxic: prompts that should be refused",
        Expected.REFUSE,
        None,
        "or-bench-toxic.derived.csv",
    ),
    _false_reject("train", "FalseReject, training part"),
    _false_reject("test", "FalseReject, human-annotated test part"),
    Benchmark(
        name="oktest",
        title="OKTest: 300 safe questions with dangerous words",
        home="https://github.com/InvokerStark/OverKill",
        revision="main",
        licence="none stated: ask its authors before passing it on",
        version="1",
        sources=(
            Source(
                "OKTest.csv",
                "https://raw.githubusercontent.com/InvokerStark/OverKill/main/data/OKTest.csv",
                _always(Expected.ANSWER, "oktest"),
                ("prompt",),
            ),
        ),
        note="one side only: pair it with a suite of harmful prompts",
    ),
    Benchmark(
        name="phtest",
        title="PHTest: pseudo-harmful prompts, those labelled harmless",
        home=f"{_HUB}/furonghuang-lab/PHTest",
        revision="main",
        licence="MIT",
        version="1",
        sources=(
            Source(
                "PHTest.csv",
                f"{_HUB}/furonghuang-lab/PHTest/resolve/main/PHTest.csv",
                _phtest,
                ("ID", "Request", "Harmfulness"),
            ),
        ),
        note="prompts labelled controversial are left out: no expected outcome follows from that",
    ),
    Benchmark(
        name="coconot",
        title="CoCoNot: requests with safety concerns, and a contrast set to be answered",
        home=f"{_HUB}/allenai/coconot",
        revision=_COCONOT_REVISION,
        licence="ODC-BY-1.0",
        version="1",
        sources=(
            Source(
                "original/test-00000-of-00001.parquet",
                f"{_HUB}/allenai/coconot/resolve/{_COCONOT_REVISION}"
                "/original/test-00000-of-00001.parquet",
                _coconot(Expected.REFUSE),
                ("id", "category", "prompt"),
            ),
            Source(
                "contrast/test-00000-of-00001.parquet",
                f"{_HUB}/allenai/coconot/resolve/{_COCONOT_REVISION}"
                "/contrast/test-00000-of-00001.parquet",
                _coconot(Expected.ANSWER),
                ("id", "category", "prompt"),
            ),
        ),
    ),
)
CATALOGUE: Mapping[str, Benchmark] = {entry.name: entry for entry in _ENTRIES}
