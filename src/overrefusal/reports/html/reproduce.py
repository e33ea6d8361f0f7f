"""What a run was made of, and the command that makes it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from overrefusal.runs.run import Run

_OPTIONS = ("temperature", "top_p", "max_tokens", "seed")


def settings_of(run: Run) -> list[tuple[str, str]]:
    """Names and values, in the order in which a reader asks for them."""
    record = run.record
    variant = record.variant
    sampling = _sampling(variant)
    drawn = ", ".join(
        f"{name.replace('_', ' ')} {sampling[name]}"
        for name in _OPTIONS
        if sampling.get(name) is not None
    )
    found = [
        ("model", str(variant.get("model", ""))),
        ("identity", str(variant.get("identity", ""))),
        ("system prompt", str(variant.get("system") or "none")),
        ("sampling", drawn or "left to the provider"),
        ("samples a prompt", str(record.samples)),
        (
            "suite",
            f"{record.suite_name} version {record.suite_version}, {record.suite_size} prompts",
        ),
        ("suite hash", f"sha256:{record.suite_hash}"),
        ("judge", record.judge),
        ("run", record.id + (f", judging run {record.parent} again" if record.parent else "")),
        ("overrefusal", record.tool_version),
    ]
    return [(name, value) for name, value in found if value]


def command_of(run: Run) -> str:
    """The shell command to run; untrusted values in it are quoted for a POSIX shell."""
    record, variant = run.record, run.record.variant
    if record.parent:
        return shlex.join(["overrefusal", "rejudge", record.parent, "--judge", _judge(run)])
    words = ["overrefusal", "eval", str(variant.get("model", "")), *_suite(record.suite_name)]
    if variant.get("system"):
        words += ["--system", "SYSTEM_PROMPT_FILE"]
    sampling = _sampling(variant)
    for name in _OPTIONS:
        if sampling.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(sampling[name])]
    if record.samples > 1:
        words += ["--samples", str(record.samples)]
    return shlex.join([*words, "--judge", _judge(run)])


def _suite(name: str) -> list[str]:
    """The options behind a suite's name: ``starter[de][:50]`` is a part of ``starter``."""
    base, *parts = name.split("[")
    words = ["--suite", base]
    for part in parts:
        value = part.rstrip("]")
        words += ["--limit", value[1:]] if value.startswith(":") else ["--language", value]
    return words


def _judge(run: Run) -> str:
    """The judge's spec: its identity without the version."""
    return re.sub(r"/\d+$", "", run.record.judge)


def _sampling(variant: Mapping[str, Any]) -> Mapping[str, Any]:
    sampling = variant.get("sampling")
    return sampling if isinstance(sampling, Mapping) else {}
