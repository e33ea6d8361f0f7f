"""Writing the page: the summary, then every prompt in compressed blocks."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from importlib.resources import files as package_files
from itertools import islice
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO

from overrefusal.diagnosis import Report
from overrefusal.files import valid, whole
from overrefusal.reports.html.blocks import ROWS, block, row_data
from overrefusal.reports.html.diagnosis import diagnosis_link, diagnosis_section
from overrefusal.reports.html.index import Index
from overrefusal.reports.html.markup import escaped
from overrefusal.reports.html.rows import rows
from overrefusal.reports.html.subjects import FLIP_KINDS, Subject, flip_kind
from overrefusal.reports.html.summary import summary
from overrefusal.runs.run import Run
from overrefusal.statistics import Comparison

_SCRIPTS = (
    "data.js",
    "text.js",
    "filters.js",
    "table.js",
    "detail.js",
    "cards.js",
    "diagnosis.js",
    "main.js",
)
_STYLES = ("report.css", "diagnosis.css")
_SLOT = re.compile(r"\{\{(\w+)\}\}")


def write_html(
    path: Path,
    runs: Sequence[Run],
    baseline: Run | None = None,
    diagnosis: Report | None = None,
) -> None:
    """Write the report of ``runs``, the first of them as the page's subject, to ``path``.

    With ``baseline`` every other run is compared with it, prompt by prompt; ``diagnosis`` adds why
    one of the runs declined. The page holds all
    prompts and responses and asks nothing of any network. It is written whole or not at all, and
    the memory this takes does not grow with the length of the texts.

    Raises ``OverrefusalError`` where ``path`` cannot be written, or where a run's suite is not
    comparable with the baseline's.
    """
    with whole(path) as temporary, temporary.open("wb") as out:
        _write(out, runs, baseline, diagnosis)


def _write(
    out: IO[bytes], runs: Sequence[Run], baseline: Run | None, diagnosis: Report | None
) -> None:
    subjects = _subjects(runs, baseline)
    flips: list[dict[str, int]] = [
        {
            flip.pair.prompt_id: FLIP_KINDS.index(flip_kind(flip))
            for flip in (subject.comparison.flips if subject.comparison else ())
        }
        for subject in subjects
    ]
    index = Index([subject.run.record.samples for subject in subjects], flips)
    with TemporaryFile() as spool:
        data = _indexed(subjects, index)
        while chunk := list(islice(data, ROWS)):
            spool.write(block("rows", chunk))
        spool.seek(0)
        style, script = "".join(map(_part, _STYLES)), _script()
        slots = {
            "title": escaped(f"Over-refusal: {subjects[0].run.name}"),
            "style_hash": _hash(style),
            "script_hash": _hash(script),
            "style": style,
            "script": script,
            "diagnosis": diagnosis_section(diagnosis),
            "diagnosis_link": diagnosis_link(diagnosis),
            **summary(subjects, index),
        }
        columns = {
            "per_block": ROWS,
            "runs": _run_data(subjects),
            "flip_kinds": FLIP_KINDS,
            **index.to_dict(),
        }
        before, after = _part("page.html").split("{{data}}")
        out.write(_filled(before, slots))
        out.write(block("index", columns))
        copyfileobj(spool, out, 1 << 20)
        out.write(_filled(after, slots))


def _subjects(runs: Sequence[Run], baseline: Run | None) -> list[Subject]:
    """The runs, each once; the baseline is never the first where there is another."""
    distinct = list({run.id: run for run in runs}.values())
    if baseline is None:
        return [Subject(run) for run in distinct]
    others = [run for run in distinct if run.id != baseline.id]
    compared: list[tuple[Run, Comparison | None]] = [(run, baseline.compare(run)) for run in others]
    return [
        *(Subject(run, comparison) for run, comparison in compared),
        Subject(baseline, is_baseline=True),
    ]


def _indexed(subjects: Sequence[Subject], index: Index) -> Iterator[dict[str, object]]:
    for row in rows([subject.run for subject in subjects]):
        index.add(row)
        yield row_data(row)


def _run_data(subjects: Sequence[Subject]) -> list[dict[str, object]]:
    return [
        {
            "id": subject.run.id,
            "name": valid(subject.run.name),
            "samples": subject.run.record.samples,
            "baseline": subject.is_baseline,
        }
        for subject in subjects
    ]


def _script() -> str:
    """All scripts as one, so that one hash admits it and nothing of it is global."""
    return "(() => {\n'use strict';\n" + "\n".join(_part(name) for name in _SCRIPTS) + "})();\n"


def _part(name: str) -> str:
    return (package_files("overrefusal.reports.html") / "parts" / name).read_text("utf-8")


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _filled(template: str, slots: dict[str, str]) -> bytes:
    """The template with its slots filled; what fills them is not looked at again."""
    return _SLOT.sub(lambda match: slots[match[1]], template).encode("utf-8", "replace")
