"""What a run was made of, and the command that makes it again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from overrefusal.reports.words import visible
from overrefusal.runs.run import Run

LINE = 4000
"""Characters of a line of the command that are shown."""
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
    """The shell command to run, a line of its own before it where a system prompt must be on disk.

    Untrusted values in it are quoted for a POSIX shell.
    """
    record, variant = run.record, run.record.variant
    if record.parent:
        return shlex.join(
            ["overrefusal", "rejudge", record.parent, "--judge", judge_spec(record.judge)]
        )
    words = ["overrefusal", "eval", str(variant.get("model", "")), *_suite(record.suite_name)]
    words += [*_base_url(variant), *_local(variant)]
    system, before = str(variant.get("system") or ""), ""
    if system and _shown_whole(system):
        file = f"system-{record.id}.txt"
        text, newline = system.removesuffix("\n"), "\\n" if system.endswith("\n") else ""
        before = f"printf '%s{newline}' {shlex.quote(text)} > {file}\n"
        words += ["--system", file]
    elif system:
        words += ["--system", "SYSTEM_PROMPT_FILE"]
    sampling = _sampling(variant)
    for name in _OPTIONS:
        if sampling.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(sampling[name])]
    if record.samples > 1:
        words += ["--samples", str(record.samples)]
    return before + shlex.join([*words, "--judge", judge_spec(record.judge)])


def _shown_whole(text: str) -> bool:
    """Whether a page that shows untrusted text line by line shows every character of ``text``."""
    return all(visible(line, LINE) == line for line in text.split("\n"))


def _suite(name: str) -> list[str]:
    """The options behind a suite's name: ``starter[de][:50]`` is a part of ``starter``."""
    base, *parts = name.split("[")
    words = ["--suite", base]
    for part in parts:
        value = part.rstrip("]")
        words += ["--limit", value[1:]] if value.startswith(":") else ["--language", value]
    return words


def judge_spec(identity: str) -> str:
    """How the judge of that identity is written as an option; its versions are left out."""
    if cascade := re.fullmatch(r"cascade\(([^,]*),(.*),[\d.]+-[\d.]+\)", identity):
        return f"cascade:{judge_spec(cascade[1])},{judge_spec(cascade[2])}"
    if llm := re.fullmatch(r"llm/[^:]*:([^:/]*)/[^:]*:(.*)", identity):
        return f"llm:{llm[2].split('@')[0]}?rubric={llm[1]}"
    if labels := re.fullmatch(r"labels/[^:]*:(.*)", identity):
        return f"labels:{labels[1]}"
    return identity.split("/")[0]


def _base_url(variant: Mapping[str, Any]) -> list[str]:
    """The option for the address that a model's identity carries."""
    address = str(variant.get("identity", "")).removeprefix(f"{variant.get('model')}@")
    return ["--base-url", address] if address.startswith(("http://", "https://")) else []


def _local(variant: Mapping[str, Any]) -> list[str]:
    """The options of a model in this process."""
    given = variant.get("local")
    words: list[str] = []
    for name, value in given.items() if isinstance(given, Mapping) else ():
        if value is not None:
            words.append(f"--{str(name).replace('_', '-')}")
            words += [] if value is True else [str(value)]
    return words


def _sampling(variant: Mapping[str, Any]) -> Mapping[str, Any]:
    sampling = variant.get("sampling")
    return sampling if isinstance(sampling, Mapping) else {}
