"""Directions on the terminal: what was extracted, what was selected, what the tests found."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from overrefusal.directions.extract import FALSE, HARMFUL, PLAIN, Extraction
from overrefusal.directions.files import DirectionFile
from overrefusal.directions.laboratory import Laboratory, Row, Sides
from overrefusal.directions.pictures import Mean
from overrefusal.directions.subject import Subject
from overrefusal.reports.words import PATTERNS, interval, percent, points, visible
from overrefusal.statistics import Difference, Rate


def print_extraction(console: Console, subject: Subject, found: Extraction) -> None:
    """The blocks, the positions, how many prompts each mean rests on, and what was dropped."""
    structure = subject.structure
    console.print(Text(visible(structure.describe(), 120), style="bold"))
    positions = ", ".join(
        p.name + (f" {p.token.strip()}" if p.token.strip() else "") for p in subject.positions
    )
    console.print(Text(f"positions: {visible(positions, 400)}"))
    table = _table("", "prompts", "dropped")
    for group, filter_ in (
        (HARMFUL, "harmful answered"),
        (PLAIN, "plain refused"),
        (FALSE, "suspicious answered"),
    ):
        table.add_row(
            group.replace("_", " "), str(found.count(group)), f"{found.dropped[filter_]} {filter_}"
        )
    console.print(table)
    if found.tokens is None:
        console.print(Text("no refusal tokens: select with --by cosmic", style="yellow"))
        return
    tokens = ", ".join(repr(subject.loaded.tokenizer.decode([i])) for i in found.tokens.ids)
    console.print(
        Text(
            f"refusal tokens: {visible(tokens, 200)}; they open {found.tokens.opens_refusals:.0%} "
            f"of the refusals and {found.tokens.opens_answers:.0%} of the answers"
        )
    )


def print_selection(console: Console, file: DirectionFile) -> None:
    """The candidates with their scores, the selected one marked."""
    found = file.selection
    by_cosmic = found["by"] == "cosmic"
    columns = ["COSMIC"] if by_cosmic else ["bypass", "induction", "KL"]
    keys = ["cosmic"] if by_cosmic else ["bypass", "induction", "kl"]
    table = _table("layer", "position", *columns, "")
    table.columns[1].justify = "left"
    table.columns[-1].justify = "left"
    for c in found["candidates"]:
        best = (c["layer"], c["position"]) == (found["best"]["layer"], found["best"]["position"])
        verdict = "selected" if best else f"kept out by {c['rejected']}" if c["rejected"] else ""
        table.add_row(
            str(c["layer"]),
            file.positions[c["position"]].name,
            *("–" if c[key] is None else f"{c[key]:+.2f}" for key in keys),
            verdict,
            style="bold" if best else "",
        )
    console.print(table)
    to = "where plain prompts lie" if file.direction.affine else "zero"
    console.print(
        Text(
            f"on {found['n_harmful']} harmful and {found['n_plain']} plain prompts; ablation moves "
            f"the stream to {to}",
            style="dim",
        )
    )


def print_laboratory(console: Console, found: Laboratory) -> None:
    """The two-sided table, transfer, projections, and what moves them."""
    console.print(
        Text(
            f"{visible(found.model)}: layer {found.layer}, {found.position}, from "
            f"{found.language}; {found.n_prompts} prompts of {visible(found.suite, 40)}, judge "
            f"{visible(found.judge, 40)}",
            style="bold",
        )
    )
    table = _table("", "over-refusal", "of plain prompts", "harmful refusal")
    for row in found.rows:
        _add(table, row)
    if found.control is not None:
        table.add_section()
        for name, row in (
            ("ablation", found.control.ablation),
            ("addition", found.control.addition),
        ):
            _add(table, row)
            worst = found.control.worst
            table.add_row(
                Text("  largest change of any", style="dim"),
                *(
                    Text(f"{100 * worst[f'{name} {side}']:.1f} points", style="dim")
                    for side in ("over_refusal", "plain_refusal", "harmful_refusal")
                ),
            )
    console.print(table)
    _print_languages(console, found)
    _print_projections(console, found)


def _print_languages(console: Console, found: Laboratory) -> None:
    names = ("unedited", "ablation", "addition")
    table = _table("", *(f"{name}:\nplain / harmful" for name in names), "transfer")
    for language in found.rows[0].languages:
        share = found.transfer.get(language)
        table.add_row(
            language,
            *(_pair(found.row(name).languages[language]) for name in names),
            "own" if share is None else " / ".join(
                "–" if v is None else f"{v:.0%}" for v in (share["ablation"], share["addition"])
            ),
        )  # fmt: skip
    console.print(table)
    console.print(
        Text(
            "refused, in %; transfer: the effect of ablation / of addition there, over that in "
            f"{found.language}",
            style="dim",
        )
    )


def _print_projections(console: Console, found: Laboratory) -> None:
    table = _table("projection of", "n", "0 plain, 1 harmful", "over-refusal", "harmful refusal")
    for p in found.projections:
        table.add_row(
            PATTERNS.get(p.group, p.group),
            str(p.projection.n),
            mean_words(p.projection),
            _rate(p.over_refusal),
            _rate(p.harmful_refusal),
        )
    console.print(table)
    moves = _table("moved by", "harmful", "suspicious", "plain")
    framings = dict.fromkeys(s.framing for s in found.shifts)
    for framing in framings:
        own = {s.group: s.shift for s in found.shifts if s.framing == framing}
        moves.add_row(
            framing,
            *(mean_words(own[g], signed=True) if g in own else "–" for g in
              ("harmful", "suspicious", "plain")),
        )  # fmt: skip
    console.print(moves)


def mean_words(mean: Mean, signed: bool = False) -> str:
    """``0.86 [0.78, 0.95]``."""
    form = "+.2f" if signed else ".2f"
    if mean.low is None or mean.high is None:
        return f"{mean.mean:{form}}"
    return f"{mean.mean:{form}} [{mean.low:{form}}, {mean.high:{form}}]"


def _add(table: Table, row: Row) -> None:
    sides = row.sides
    change = row.change
    cells = []
    for rate, difference in (
        (sides.over_refusal, change.over_refusal if change else None),
        (sides.plain_refusal, None),
        (sides.harmful_refusal, change.harmful_refusal if change else None),
    ):
        cells.append(_rate(rate) + _moved(difference))
    name = row.name + (f"\n  {row.garbled} garbled" if row.garbled else "")
    table.add_row(name, *cells)


def _moved(difference: Difference | None) -> str:
    if difference is None or difference.difference is None:
        return ""
    bounds = interval(difference.low, difference.high, signed=True)
    return f"\n{points(difference.difference)} {bounds}"


def _rate(rate: Rate) -> str:
    return f"{percent(rate.estimate)} {interval(rate.low, rate.high)}".rstrip()


def _pair(sides: Sides) -> str:
    return f"{percent(sides.plain_refusal.estimate)} / {percent(sides.harmful_refusal.estimate)}"


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table
