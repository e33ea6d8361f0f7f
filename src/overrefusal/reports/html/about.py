"""Suite, settings and commands: what the runs share once, then what each has of its own."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from overrefusal.reports.html.markup import escaped
from overrefusal.reports.html.reproduce import LINE, command_of, settings_of
from overrefusal.reports.html.subjects import Subject, run_label


def about(subjects: Sequence[Subject]) -> str:
    """The settings of every run, and the command that makes it again."""
    settings = [settings_of(subject.run) for subject in subjects]
    shared = [entry for entry in settings[0] if all(entry in own for own in settings[1:])]
    parts = []
    if len(subjects) > 1 and shared:
        parts.append(f"<h3>All runs</h3>{_entries(shared)}")
    for subject, own in zip(subjects, settings, strict=True):
        distinct = [entry for entry in own if len(subjects) == 1 or entry not in shared]
        command = "\n".join(escaped(line, 2 * LINE) for line in command_of(subject.run).split("\n"))
        parts.append(
            f"<h3>{run_label(subject)}</h3>{_entries(distinct)}"
            f'<pre tabindex="0" aria-label="Command to reproduce"><code>{command}</code></pre>'
        )
    return "".join(parts)


def _entries(settings: Sequence[tuple[str, str]]) -> str:
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escaped(value, 600)}</dd>" for name, value in settings
    )
    return f"<dl>{lines}</dl>"
