"""HTML out of untrusted text."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from overrefusal.reports.words import interval, percent, visible
from overrefusal.statistics import Rate


def escaped(text: str, width: int = 200) -> str:
    """Untrusted text on one line, inert in an element and in a quoted attribute."""
    return escape(visible(text, width), quote=True)


def browse_link(label: str, **choices: str) -> str:
    """A link to the prompts of these choices, in the list of all; ``label`` is markup."""
    target = "&".join(f"{name}={quote(value, safe='')}" for name, value in choices.items())
    return f'<a href="#{escape(target, quote=True)}">{label}</a>'


def rate_cell(rate: Rate) -> str:
    """A rate in a table: the figure, its interval and its n, each unbroken."""
    return (
        f'<span class="figure-cell">{percent(rate.estimate)}</span> '
        f'<span class="soft">{interval(rate.low, rate.high)}</span> '
        f'<span class="soft">n = {rate.n}</span>'
    )
