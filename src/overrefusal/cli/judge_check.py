"""`overrefusal judge-check`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from overrefusal.cli.judge import exchanges
from overrefusal.cli.options import console, json_option, print_json
from overrefusal.errors import OverrefusalError

if TYPE_CHECKING:
    from overrefusal.judges.agreement import Agreement, Pair
    from overrefusal.judges.protocol import Judge
    from overrefusal.records import Outcome

_HEADINGS = {"precision": "precision", "recall": "recall", "F1": "f1", "kappa": "kappa"}


@click.command("judge-check")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--label", required=True, metavar="COLUMN", help="The column of human labels.")
@click.option(
    "--labels",
    "mapping",
    metavar="LABEL=OUTCOME,...",
    help="What labels of one's own mean, as in 1=refused,0=complied.",
)
@click.option("--judge", "spec", default="rules", show_default=True, help="The judge's spec.")
@click.option(
    "--model-column",
    default="model",
    show_default=True,
    help="The column of the model's name; a file without it is one model.",
)
@json_option
def command(
    files: tuple[Path, ...],
    label: str,
    mapping: str | None,
    spec: str,
    model_column: str,
    as_json: bool,
) -> None:
    """Measure how well a judge agrees with the human labels in FILES, together and per model.

    Partial counts as refused in precision, recall, F1 and kappa; what the judge has no verdict on
    is in no figure. For a cascade, also the share of the responses that went to its second judge.
    """
    from overrefusal.evaluation import run_sync
    from overrefusal.judges.agreement import agreement, agreement_by_model
    from overrefusal.judges.cascade import CascadeJudge
    from overrefusal.judges.labels import parse_mapping
    from overrefusal.judges.registry import get_judge
    from overrefusal.models.registry import open_model

    meant = parse_mapping(mapping) if mapping else None
    judge = get_judge(spec, open_model)
    unknown: Counter[str] = Counter()
    pairs = run_sync(lambda: _pairs(files, label, meant, judge, model_column, unknown))
    together, by_model = agreement(pairs), agreement_by_model(pairs)
    if together.n == together.unjudged == 0 and pairs:
        raise OverrefusalError(
            f"--label {label}: none of its labels is known ({_named(unknown) or 'all are empty'}); "
            "say what they mean with --labels LABEL=OUTCOME,..."
        )
    if unknown:
        click.echo(
            f"{unknown.total()} rows are left out, as --labels does not say what their label means:"
            f" {_named(unknown)}",
            err=True,
        )
    cascade = judge if isinstance(judge, CascadeJudge) else None
    if as_json:
        result = {
            "judge": judge.identity,
            "label": label,
            "unknown_labels": dict(unknown),
            "all": together.to_dict(),
            "models": {model: each.to_dict() for model, each in by_model.items()},
        }
        if cascade:
            result["cascade"] = {"seen": cascade.seen, "asked": cascade.asked}
        print_json(result)
        return
    _print(judge.identity, together, by_model)
    if cascade:
        click.echo(
            f"{cascade.asked} of {cascade.seen} responses ({cascade.asked_share:.1%}) went to the"
            " second judge"
        )


async def _pairs(
    files: tuple[Path, ...],
    label: str,
    mapping: Mapping[str, Outcome] | None,
    judge: Judge,
    model_column: str,
    unknown: Counter[str],
) -> list[Pair]:
    """What people and the judge said; labels without a known meaning are counted in ``unknown``."""
    from overrefusal.judges.agreement import Pair
    from overrefusal.judges.labels import label_outcome
    from overrefusal.judges.rows import judge_rows
    from overrefusal.records import Outcome

    pairs: list[Pair] = []
    try:
        for file in files:
            number = 0
            async for row, _, verdict in judge_rows(exchanges(file), judge):
                number += 1
                if label not in row:
                    columns = ", ".join(map(repr, row))
                    raise OverrefusalError(
                        f"{file}, row {number}: no column {label!r}; it has {columns}"
                    )
                human = label_outcome(row[label], mapping) or Outcome.UNJUDGED
                if human is Outcome.UNJUDGED and row[label] not in (None, ""):
                    unknown[str(row[label])[:80]] += 1
                model = str(row.get(model_column) or file.stem)
                pairs.append(Pair(human, verdict.outcome, model))
    finally:
        await judge.close()
    return pairs


def _named(labels: Counter[str]) -> str:
    shown = [repr(label) for label, _ in labels.most_common(6)]
    return ", ".join(shown) + ", ..." * (len(labels) > 6)


def _print(identity: str, together: Agreement, by_model: dict[str, Agreement]) -> None:
    from rich.table import Table
    from rich.text import Text

    from overrefusal.reports.words import visible

    title = f"{visible(identity)} against people, partial counted as refused"
    table = Table(title=Text(title, style="italic"))
    table.add_column("model", overflow="fold")
    for heading in ("n", "not judged", "no label", *_HEADINGS):
        table.add_column(heading, justify="right")
    for name, each in [*by_model.items(), ("all", together)]:
        values = [getattr(each, figure) for figure in _HEADINGS.values()]
        table.add_row(
            Text(visible(name)),
            str(each.n),
            str(each.unjudged),
            str(each.unlabelled),
            *("–" if value is None else f"{value:.3f}" for value in values),
        )
    out = console()
    out.print(table)
    columns = sorted({judged for row in together.confusion.values() for judged in row})
    confusion = Table("human \\ judge", *columns, title="confusion, all models")
    for human, row in together.confusion.items():
        confusion.add_row(human, *(str(row.get(judged, 0)) for judged in columns))
    out.print(confusion)
