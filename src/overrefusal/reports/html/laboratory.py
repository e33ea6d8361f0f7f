"""The laboratory's report as one self-contained page, without a script."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256
from importlib.resources import files as package_files

from overrefusal import __version__
from overrefusal.directions.files import DirectionFile
from overrefusal.directions.laboratory import Laboratory, Row
from overrefusal.directions.pictures import Mean
from overrefusal.directions.plots import KINDS, STYLE, drawing
from overrefusal.errors import OverrefusalError
from overrefusal.reports.html.charts import rate_bar
from overrefusal.reports.html.markup import escaped, rate_cell
from overrefusal.reports.words import PATTERNS, interval, points
from overrefusal.statistics import Difference

_OWN_STYLE = """
.lab td, .lab th { min-width: 7.5rem; }
.lab .bar { margin-top: 0.25rem; }
.lab .change { display: block; color: var(--soft); white-space: nowrap; }
.plots { display: grid; gap: 2rem; }
.plot { width: auto; max-width: 100%; border: 1px solid var(--rule); border-radius: 6px; }
.warn { padding: 0.2rem 0 0.2rem 1.2rem; border-left: 3px solid var(--over); }
"""


def laboratory_page(found: Laboratory, file: DirectionFile) -> str:
    """All experiments on one direction, with its pictures."""
    style = _part("report.css") + STYLE + _OWN_STYLE
    digest = b64encode(sha256(style.encode()).digest()).decode()
    slots = {
        "title": escaped(f"Refusal direction of {file.provenance.model}"),
        "style": style,
        "style_hash": f"sha256-{digest}",
        "subject": escaped(
            f"Layer {found.layer} of {file.provenance.layers}, position {found.position}, from "
            f"prompts in {found.language}. {found.n_prompts} prompts of {found.suite}, judged by "
            f"{found.judge}.",
            400,
        ),
        "edits": _edits(found),
        "control": _control(found),
        "languages": _languages(found),
        "patterns": _projections(found),
        "framings": _shifts(found),
        "pictures": f'<div class="plots">{_pictures(file)}</div>',
        "about": _about(found, file),
        "version": __version__,
    }
    # What fills a slot is not looked at again.
    return re.sub(r"\{\{(\w+)\}\}", lambda slot: slots[slot[1]], _part("laboratory.html"))


def _part(name: str) -> str:
    return (package_files("overrefusal.reports.html") / "parts" / name).read_text("utf-8")


def _edits(found: Laboratory) -> str:
    body = "".join(
        f'<tr><th scope="row">{escaped(row.name)}{_garbled(row)}</th>'
        f"<td>{rate_cell(row.sides.over_refusal)}{rate_bar(row.sides.over_refusal, 'over')}"
        f"{_change(row.change.over_refusal if row.change else None)}</td>"
        f"<td>{rate_cell(row.sides.plain_refusal)}{rate_bar(row.sides.plain_refusal, 'over')}</td>"
        f"<td>{rate_cell(row.sides.harmful_refusal)}{rate_bar(row.sides.harmful_refusal, 'harm')}"
        f"{_change(row.change.harmful_refusal if row.change else None)}</td></tr>"
        for row in found.rows
    )
    to = "to where plain prompts lie along it" if found.affine else "to zero"
    return (
        f'<p class="soft">Ablation moves the residual stream {to} wherever it is read; addition '
        "adds it at its layer. Small figures are 95 % intervals and the paired change in "
        "points.</p>" + _table(("", "over-refusal", "of plain prompts", "harmful refusal"), body)
    )


def _control(found: Laboratory) -> str:
    if found.control is None:
        return "<p>Left out.</p>"
    control = found.control
    body = ""
    for name, row in (("ablation", control.ablation), ("addition", control.addition)):
        sides = row.sides
        cells = (
            (sides.over_refusal, "over_refusal"),
            (sides.plain_refusal, "plain_refusal"),
            (sides.harmful_refusal, "harmful_refusal"),
        )
        body += f'<tr><th scope="row">{name}{_garbled(row)}</th>' + "".join(
            f"<td>{rate_cell(rate)}"
            f'<span class="change">at most {100 * control.worst[f"{name} {side}"]:.1f} points'
            " from unedited</span></td>"
            for rate, side in cells
        )
        body += "</tr>"
    return (
        f'<p class="soft">{control.n} directions drawn at random; the rates are of all of them '
        "together, the largest change is that of any single one.</p>"
        + _table(("", "over-refusal", "of plain prompts", "harmful refusal"), body)
    )


def _languages(found: Laboratory) -> str:
    names = ("unedited", "ablation", "addition")
    body = ""
    for language in found.rows[0].languages:
        share = found.transfer.get(language)
        own = escaped(language) + (" (own)" if share is None else "")
        for side, label in (("plain_refusal", "plain"), ("harmful_refusal", "harmful")):
            edit = "addition" if label == "plain" else "ablation"
            moved = None if share is None else share[edit]
            cells = "".join(
                f"<td>{rate_cell(getattr(found.row(n).languages[language], side))}</td>"
                for n in names
            )
            effect = "–" if moved is None else f"{edit} {moved * 100:.0f} %"
            body += f'<tr><th scope="row">{own}, {label}</th>{cells}<td>{effect}</td></tr>'
    return (
        '<p class="soft">Refused prompts. The last column is the effect of the edit in this '
        "language as a share of its effect in the direction's own.</p>"
        + _table(("", *names, "transfer"), body)
    )


def _projections(found: Laboratory) -> str:
    body = "".join(
        f'<tr><th scope="row">{escaped(PATTERNS.get(p.group, p.group))}</th>'
        f"<td>{_mean(p.projection)}</td><td>{rate_cell(p.over_refusal)}</td>"
        f"<td>{rate_cell(p.harmful_refusal)}</td></tr>"
        for p in found.projections
    )
    return (
        '<p class="soft">At the direction\'s layer and position, unedited: plain prompts of the '
        "extraction lie at 0, harmful ones at 1.</p>"
        + _table(("", "projection", "over-refusal", "harmful refusal"), body)
    )


def _shifts(found: Laboratory) -> str:
    framings = dict.fromkeys(s.framing for s in found.shifts)
    body = ""
    for framing in framings:
        own = {s.group: s.shift for s in found.shifts if s.framing == framing}
        row = found.row(framing)
        body += (
            f'<tr><th scope="row">{escaped(framing)}</th>'
            + "".join(
                f"<td>{_mean(own[g], signed=True) if g in own else '–'}</td>"
                for g in ("harmful", "suspicious", "plain")
            )
            + f"<td>{rate_cell(row.sides.over_refusal)}</td>"
            f"<td>{rate_cell(row.sides.harmful_refusal)}</td></tr>"
        )
    heads = ("shift of", "harmful", "suspicious", "plain", "over-refusal", "harmful refusal")
    return (
        '<p class="soft">How the same prompts move along the direction when the purpose is stated '
        "behind them, or an operator's system prompt stands before them.</p>" + _table(heads, body)
    )


def _pictures(file: DirectionFile) -> str:
    shown = []
    for kind in KINDS:
        try:
            shown.append(f"<figure>{drawing(file, kind)}</figure>")
        except OverrefusalError:
            continue
    return "".join(shown)


def _about(found: Laboratory, file: DirectionFile) -> str:
    origin = file.provenance
    best = file.selection["best"]
    scores = ", ".join(
        f"{name} {best[name]:.3f}" for name in ("bypass", "induction", "kl", "cosmic")
        if best.get(name) is not None
    )  # fmt: skip
    entries: Iterable[tuple[str, str]] = (
        ("model", origin.identity),
        ("tested on", f"{found.suite}, {found.suite_hash[:12]}"),
        ("extracted with", f"{origin.suite}, {origin.suite_hash[:12]}, seed {origin.plan.seed}"),
        ("selected by", f"{file.selection['by']}: {scores}"),
        ("overrefusal", origin.version),
    )
    return "<dl>" + "".join(f"<dt>{k}</dt><dd>{escaped(v)}</dd>" for k, v in entries) + "</dl>"


def _table(heads: Iterable[str], body: str) -> str:
    head = "".join(f'<th scope="col">{h}</th>' for h in heads)
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Table"><table class="lab">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _change(difference: Difference | None) -> str:
    if difference is None or difference.difference is None:
        return ""
    bounds = interval(difference.low, difference.high, signed=True)
    return f'<span class="change">{points(difference.difference)} points {bounds}</span>'


def _mean(mean: Mean, signed: bool = False) -> str:
    form = "+.2f" if signed else ".2f"
    bounds = "" if mean.low is None else f"[{mean.low:{form}}, {mean.high:{form}}]"
    return (
        f'<span class="figure-cell">{mean.mean:{form}}</span> <span class="soft">{bounds}</span> '
        f'<span class="soft">n = {mean.n}</span>'
    )


def _garbled(row: Row) -> str:
    n = row.garbled
    return f'<span class="change">{n} garbled</span>' if n else ""
