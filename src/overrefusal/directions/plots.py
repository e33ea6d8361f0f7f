"""Pictures of a direction as SVG: axes named, n and 95 % intervals shown, for light and dark pages.

Colours are those of Okabe and Ito, told apart in every kind of colour vision; groups differ in
their markers too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from overrefusal.directions.files import DirectionFile
from overrefusal.errors import OverrefusalError
from overrefusal.records import Group

STYLE = """
.plot { --ink: #1d2126; --soft: #5a6068; --rule: #dfdcd5; --paper: #fdfcf9;
  --c0: #c04a00; --c1: #7a5c00; --c2: #0072b2; --c3: #8a3a74; --c4: #00704f; --heat: #0072b2; }
@media (prefers-color-scheme: dark) { .plot { --ink: #e7e5e0; --soft: #a4a9b1; --rule: #33383f;
  --paper: #14161a; --c0: #ff9150; --c1: #e6c03c; --c2: #6fbdf0; --c3: #e39ac8; --c4: #4fd0a4;
  --heat: #6fbdf0; } }
.plot { font-family: system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif;
  background: var(--paper); max-width: 100%; height: auto; }
.plot text { font-size: 13px; fill: var(--soft); text-anchor: start; }
.plot .title { font-size: 15px; fill: var(--ink); font-weight: 600; }
.plot .name { fill: var(--ink); }
.plot .mid { text-anchor: middle; }
.plot .end { text-anchor: end; }
.plot .grid { stroke: var(--rule); fill: none; }
.plot .axis { stroke: var(--soft); fill: none; }
.plot .base { stroke: var(--ink); stroke-dasharray: 5 4; fill: none; }
.plot .line { fill: none; stroke-width: 2; }
.plot .band { opacity: 0.18; stroke: none; }
.plot .whisker { fill: none; stroke-width: 1.5; }
.plot .open { fill: var(--paper); }
.plot .ring { fill: none; stroke: var(--ink); stroke-width: 2; }
.plot .cell { fill: var(--heat); }
.plot .value { fill: var(--ink); font-size: 12px; }
""" + "".join(
    f".plot .s{i} {{ stroke: var(--c{i}); }} .plot .f{i} {{ fill: var(--c{i}); }} "
    f".plot text.f{i} {{ fill: var(--c{i}); }}\n"
    for i in range(5)
)
KINDS = ("projections", "categories", "patterns", "languages", "landscape")
_CORNERS: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((0, -5.5), (5.5, 4.5), (-5.5, 4.5)),
    3: ((0, -6), (6, 0), (0, 6), (-6, 0)),
    4: ((0, 5.5), (5.5, -4.5), (-5.5, -4.5)),
}
_LEFT, _TOP, _WIDTH, _HEIGHT = 70.0, 64.0, 480.0, 300.0


def plot(file: DirectionFile, what: str) -> str:
    """One of ``KINDS`` as an SVG file of its own.

    Raises ``OverrefusalError`` where the file does not hold its figures.
    """
    return drawing(file, what).replace(">", f"><style>{STYLE}</style>", 1)


def drawing(file: DirectionFile, what: str) -> str:
    """The same without its style, for a page that has ``STYLE``."""
    if what == "landscape":
        return _landscape(file)
    if file.pictures is None:
        raise OverrefusalError("the direction's file holds no figures to draw; select it again")
    if what == "projections":
        return _projections(file, file.pictures["projections"])
    return _heat(what, file.pictures["cosines"][what])


def _projections(file: DirectionFile, groups: dict[str, list[dict[str, Any]]]) -> str:
    layers = len(next(iter(groups.values())))
    values = [m[k] for g in groups.values() for m in g for k in ("mean", "low", "high")]
    ticks = _ticks([v for v in values if v is not None] + [0.0, 1.0])
    parts = [_frame(list(range(layers)), ticks, "layer of the residual stream (input of block)",
                    "projection, in distances of the means")]  # fmt: skip
    at = _scale(layers, ticks)
    labels = []
    for i, group in enumerate(g.value for g in Group):
        means = groups.get(group)
        if not means:
            continue
        points = [at(layer, m["mean"]) for layer, m in enumerate(means)]
        if all(m["low"] is not None for m in means):
            upper = [at(layer, m["high"]) for layer, m in enumerate(means)]
            lower = [at(layer, m["low"]) for layer, m in enumerate(means)]
            parts.append(f'<path class="band f{i}" d="M{_path(upper + lower[::-1])}Z"/>')
        parts.append(f'<path class="line s{i}" d="M{_path(points)}"/>')
        parts += [_marker(i, x, y) for x, y in points]
        labels.append((points[-1][1], f"{group}, n = {means[0]['n']}", i))
    parts += _end_labels(labels)
    x, _ = at(file.direction.layer, ticks[0])
    parts.append(f'<path class="base" d="M{x:.1f} {_TOP}V{_TOP + _HEIGHT}"/>')
    parts.append(f'<text class="mid" x="{x:.1f}" y="{_TOP - 6}">selected</text>')
    title = f"Projection onto the direction of layer {file.direction.layer}, {_at(file)}"
    note = (
        "Bands are 95 % intervals. At the selected layer 0 is where plain prompts lie, 1 harmful."
    )
    return _svg(title, note, parts, 720, _TOP + _HEIGHT + 92)


def _landscape(file: DirectionFile) -> str:
    found = file.selection
    by_cosmic = found["by"] == "cosmic"
    score = "cosmic" if by_cosmic else "bypass"
    candidates = [c for c in found["candidates"] if c[score] is not None]
    base = found.get("baseline_harmful")
    ticks = _ticks([c[score] for c in candidates] + ([] if base is None else [base]))
    layers = sorted({c["layer"] for c in found["candidates"]})
    axis = "COSMIC score (higher is better)" if by_cosmic else "refusal score after ablation"
    parts = [_frame(layers, ticks, "layer", axis)]
    at = _scale(len(layers), ticks, layers[0])
    if base is not None:
        _, y = at(layers[0], base)
        parts.append(f'<path class="base" d="M{_LEFT} {y:.1f}H{_LEFT + _WIDTH}"/>')
        parts.append(
            f'<text class="end" x="{_LEFT + _WIDTH - 4}" y="{y - 6:.1f}">harmful, unedited</text>'
        )
    names = {i: p.name for i, p in enumerate(file.positions)}
    used = sorted({c["position"] for c in candidates})
    for c in candidates:
        i, j = used.index(c["position"]) % 5, used.index(c["position"])
        x, y = at(c["layer"], c[score])
        x += (j - (len(used) - 1) / 2) * min(14.0, 0.7 * _WIDTH / len(layers) / len(used))
        if c.get("bypass_error") and not by_cosmic:
            half = 1.96 * c["bypass_error"]
            top, bottom = at(c["layer"], c[score] + half)[1], at(c["layer"], c[score] - half)[1]
            parts.append(f'<path class="whisker s{i}" d="M{x:.1f} {top:.1f}V{bottom:.1f}"/>')
        parts.append(_marker(i, x, y, hollow=c["rejected"] is not None))
        if c["layer"] == found["best"]["layer"] and c["position"] == found["best"]["position"]:
            parts.append(f'<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="11"/>')
    for j, position in enumerate(used):
        y = _TOP + 14 + 24 * j
        parts.append(_marker(j % 5, _LEFT + _WIDTH + 18, y - 4))
        parts.append(f'<text x="{_LEFT + _WIDTH + 30}" y="{y}">{escape(names[position])}</text>')
    note = (
        f"n = {found['n_harmful']} harmful and {found['n_plain']} plain prompts. Hollow: kept out "
        "by a limit. Ring: selected."
    )
    if not by_cosmic:
        note += " Bars: 95 %."
    return _svg("Selection among layers and positions", note, parts, 720, _TOP + _HEIGHT + 92)


def _heat(what: str, found: dict[str, Any]) -> str:
    names, counts, rows = found["names"], found["counts"], found["cosines"]
    n = len(names)
    if n < 2:
        raise OverrefusalError(
            f"the direction's file has no {what} with enough prompts to draw; extract with more"
        )
    longest = max(len(name) for name in names)
    left, top = 70.0 + 7.2 * longest, 60.0
    size = max(34.0, min(64.0, 480.0 / n))
    parts = []
    for i, row in enumerate(rows):
        y = top + size * i
        label = escape(f"{names[i].replace('_', ' ')} ({counts[i]})")
        parts.append(
            f'<text class="end name" x="{left - 8:.1f}" y="{y + size / 2 + 4:.1f}">{label}</text>'
        )
        for j, value in enumerate(row):
            x = left + size * j
            # Up to 55 % of the colour, so that ink stays legible on it in both themes.
            parts.append(
                f'<rect class="cell" x="{x:.1f}" y="{y:.1f}" width="{size - 1:.1f}" '
                f'height="{size - 1:.1f}" fill-opacity="{0.55 * max(0.0, value):.3f}"/>'
                f'<text class="value mid" x="{x + size / 2:.1f}" y="{y + size / 2 + 4:.1f}">'
                f"{value:.2f}</text>"
            )
    bottom = top + size * n
    for j, name in enumerate(names):
        x = left + size * j + size / 2
        parts.append(
            f'<text class="end name" transform="translate({x + 4:.1f} {bottom + 14:.1f}) '
            f'rotate(-40)">{escape(name.replace("_", " "))}</text>'
        )
    note = "In brackets: n, the prompts behind each mean."
    width = max(left + size * n + 20, 460.0)
    height = bottom + 30 + 5.2 * longest + 22
    title = {
        "categories": "Cosine between harmful categories",
        "patterns": "Cosine between patterns of over-refusal",
        "languages": "Cosine between languages",
    }[what]
    return _svg(title, note, parts, width, height)


def _svg(title: str, note: str, parts: Sequence[str], width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" viewBox="0 0 {width:.0f} '
        f'{height:.0f}" width="{width:.0f}" height="{height:.0f}" role="img" '
        f'aria-label="{escape(title, quote=True)}">'
        f'<text class="title" x="16" y="26">{escape(title)}</text>{"".join(parts)}'
        f'<text x="16" y="{height - 12:.0f}">{escape(note)}</text></svg>\n'
    )


def _frame(layers: Sequence[int], ticks: Sequence[float], across: str, up: str) -> str:
    at = _scale(len(layers), ticks, layers[0])
    parts = []
    for tick in ticks:
        _, y = at(layers[0], tick)
        parts.append(
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{_LEFT + _WIDTH}"/>'
            f'<text class="end" x="{_LEFT - 8}" y="{y + 4:.1f}">{tick:g}</text>'
        )
    step = max(1, math.ceil(len(layers) / 16))
    for layer in layers[::step]:
        x, _ = at(layer, ticks[0])
        parts.append(f'<text class="mid" x="{x:.1f}" y="{_TOP + _HEIGHT + 20}">{layer}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP + _HEIGHT}H{_LEFT + _WIDTH}"/>')
    parts.append(
        f'<text class="mid name" x="{_LEFT + _WIDTH / 2}" y="{_TOP + _HEIGHT + 42}">'
        f"{escape(across)}</text>"
        f'<text class="mid name" transform="translate(20 {_TOP + _HEIGHT / 2}) rotate(-90)">'
        f"{escape(up)}</text>"
    )
    return "".join(parts)


def _scale(layers: int, ticks: Sequence[float], first: int = 0) -> Any:
    """From a layer and a value to x and y."""
    low, high = ticks[0], ticks[-1]

    def at(layer: float, value: float) -> tuple[float, float]:
        share = (layer - first + 0.5) / layers
        return _LEFT + _WIDTH * share, _TOP + _HEIGHT * (high - value) / (high - low)

    return at


def _ticks(values: Sequence[float]) -> list[float]:
    """Four to nine round numbers around ``values``."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = 10.0 ** math.floor(math.log10(span))
    step = next(step * k for k in (0.1, 0.2, 0.5, 1.0, 2.0) if span / (step * k) <= 7)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * i, 10) for i in range(first, max(last, first + 1) + 1)]


def _marker(i: int, x: float, y: float, hollow: bool = False) -> str:
    kind = f'class="s{i} {"open" if hollow else f"f{i}"}" stroke-width="2"'
    shape = i % 5
    if shape == 0:
        return f'<circle {kind} cx="{x:.1f}" cy="{y:.1f}" r="4.5"/>'
    if shape == 1:
        return f'<rect {kind} x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8"/>'
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in _CORNERS[shape])
    return f'<polygon {kind} points="{points}"/>'


def _end_labels(labels: Sequence[tuple[float, str, int]]) -> list[str]:
    """Labels right of the lines' ends, at least a line apart."""
    out, free = [], -math.inf
    for y, text, i in sorted(labels):
        y = max(y, free)
        free = y + 17
        out.append(
            f'<text class="f{i}" x="{_LEFT + _WIDTH + 10 - 0.5 * _WIDTH / 60}" y="{y + 4:.1f}">'
            f"{escape(text)}</text>"
        )
    return out


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _at(file: DirectionFile) -> str:
    token = file.position.token.strip()
    return f"position {file.direction.position}" + (f" ({token})" if token else "")
