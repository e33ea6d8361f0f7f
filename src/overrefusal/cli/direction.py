"""`overrefusal direction extract | select | test | plot`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from overrefusal.cli.options import console, json_option, print_json
from overrefusal.errors import OverrefusalError
from overrefusal.files import write_whole

if TYPE_CHECKING:
    from overrefusal.directions.subject import Subject

_FILE = click.Path(path_type=Path, dir_okay=False)


def _model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option(
            "--blocks",
            metavar="PATH,ATTENTION,MLP",
            help="Where the blocks are, if they are not found: model.layers,self_attn,mlp",
        ),
        click.option("--dtype", help="auto, float32, bfloat16 or float16."),
        click.option("--device", help="A torch device, or auto to use all GPUs."),
    ):
        command = option(command)
    return command


@click.group("direction")
def command() -> None:
    """Find, test and picture the direction in a local model's residual stream that mediates
    refusal. Everything here measures; nothing writes a changed model."""
    from importlib.util import find_spec

    for module in ("torch", "transformers"):
        if find_spec(module) is None:
            raise OverrefusalError(
                f"overrefusal direction needs {module}: pip install 'overrefusal[local]'"
            )


@command.command("extract")
@click.argument("model")
@click.option("--suite", "suite_name", default="starter", show_default=True)
@click.option("--out", type=_FILE, required=True, help="The safetensors file to write.")
@click.option(
    "--language", default="en", show_default=True, help="The language the direction comes from."
)
@click.option("--train", type=click.IntRange(min=1), default=128, show_default=True)
@click.option("--validation", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--judge", "judge_spec", default="rules", show_default=True)
@_model_options
@json_option
def extract_command(
    model: str,
    suite_name: str,
    out: Path,
    language: str,
    train: int,
    validation: int,
    seed: int,
    judge_spec: str,
    blocks: str | None,
    device: str | None,
    dtype: str | None,
    as_json: bool,
) -> None:
    """Record what MODEL's residual stream is like on harmful, plain and wrongly refused prompts.

    MODEL is a folder, a name on the Hugging Face hub, or bouncer. At most --train and --validation
    prompts of each group and language of the suite are used, and at most half.
    """
    from overrefusal.directions.extract import Plan, extract
    from overrefusal.directions.files import provenance_of, save_extraction
    from overrefusal.judges.registry import get_judge
    from overrefusal.models.registry import open_model
    from overrefusal.suites import load_suite

    suite, judge = load_suite(suite_name), get_judge(judge_spec, open_model)
    plan = Plan(language, train, validation, seed)
    subject = _subject(model, blocks, device, dtype)
    found = extract(subject, suite, judge, plan)
    provenance = provenance_of(model, subject, suite_name, suite, judge.identity, plan)
    save_extraction(out, found, provenance, subject.positions)
    click.echo(f"wrote {out}", err=True)
    groups = dict(zip(found.moments.groups, found.moments.counts, strict=True))
    tokens = None if found.tokens is None else found.tokens.to_dict()
    if as_json:
        print_json(
            {
                "file": str(out),
                "model": subject.loaded.identity,
                "structure": subject.structure.describe(),
                "positions": [p.name for p in subject.positions],
                "groups": groups,
                "dropped": found.dropped,
                "refusal_tokens": tokens,
            }
        )
        return
    from overrefusal.reports.direction import print_extraction

    print_extraction(console(), subject, found)


@command.command("select")
@click.argument("extraction", type=_FILE)
@click.option("--out", type=_FILE, required=True, help="The safetensors file to write.")
@click.option(
    "--by",
    type=click.Choice(["scores", "cosmic"]),
    default="scores",
    show_default=True,
    help="By refusal scores and KL, or by where the stream is moved, without refusal tokens.",
)
@click.option(
    "--ablate-to",
    type=click.Choice(["zero", "plain"]),
    default="zero",
    show_default=True,
    help="Where ablation moves the stream along the direction: to zero as published, or to where "
    "plain prompts lie.",
)
@click.option("--max-kl", type=click.FloatRange(min=0), default=0.1, show_default=True)
@click.option("--min-induction", type=float, default=0.0, show_default=True)
@click.option("--max-depth", type=click.FloatRange(0, 1), default=0.8, show_default=True)
@click.option(
    "--lambda",
    "strength",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="How much of the harmful directions is taken out of the false-refusal vector.",
)
@click.option("--every-score", is_flag=True, help="Score all candidates in full, for the plot.")
@click.option("--model", help="The model, where it has moved since.")
@click.option("--suite", "suite_name", help="The suite, where it has moved since.")
@_model_options
@json_option
def select_command(
    extraction: Path,
    out: Path,
    by: str,
    ablate_to: str,
    max_kl: float,
    min_induction: float,
    max_depth: float,
    strength: float,
    every_score: bool,
    model: str | None,
    suite_name: str | None,
    blocks: str | None,
    device: str | None,
    dtype: str | None,
    as_json: bool,
) -> None:
    """Select the direction that mediates refusal among the candidates in EXTRACTION."""
    from overrefusal.directions.choose import choose
    from overrefusal.directions.files import load_extraction, save_direction
    from overrefusal.directions.select import Limits
    from overrefusal.suites import load_suite

    found, provenance, _ = load_extraction(extraction)
    suite = load_suite(suite_name or provenance.suite)
    provenance.check_suite(suite, extraction)
    subject = _subject(model or provenance.model, blocks, device, dtype)
    provenance.check(subject, extraction)
    file = choose(
        subject,
        suite,
        found,
        provenance,
        by=by,
        affine=ablate_to == "plain",
        limits=Limits(max_kl, min_induction, max_depth),
        strength=strength,
        every_score=every_score,
    )
    save_direction(out, file)
    click.echo(f"wrote {out}", err=True)
    if as_json:
        print_json({"file": str(out), "position": file.direction.position, **file.selection})
        return
    from overrefusal.reports.direction import print_selection

    print_selection(console(), file)


@command.command("test")
@click.argument("direction", type=_FILE)
@click.option("--suite", "suite_name", help="[default: the one it was extracted with]")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="Prompts of each group and language.",
)
@click.option("--random", "n_random", type=click.IntRange(min=0), default=10, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--max-tokens", type=click.IntRange(min=1), default=64, show_default=True)
@click.option("--judge", "judge_spec", default="rules", show_default=True)
@click.option("--html", "page", type=_FILE, help="Write one self-contained page there.")
@click.option("--model", help="The model, where it has moved since.")
@_model_options
@json_option
def test_command(
    direction: Path,
    suite_name: str | None,
    limit: int,
    n_random: int,
    seed: int,
    max_tokens: int,
    judge_spec: str,
    page: Path | None,
    model: str | None,
    blocks: str | None,
    device: str | None,
    dtype: str | None,
    as_json: bool,
) -> None:
    """Run the published experiments on DIRECTION: ablation, addition, transfer, projections.

    The prompts that the direction was extracted from are left out.
    """
    from overrefusal.directions.files import load_direction
    from overrefusal.directions.laboratory import run
    from overrefusal.judges.registry import get_judge
    from overrefusal.models.registry import open_model
    from overrefusal.suites import load_suite

    file = load_direction(direction)
    suite, judge = (
        load_suite(suite_name or file.provenance.suite),
        get_judge(judge_spec, open_model),
    )
    subject = _subject(model or file.provenance.model, blocks, device, dtype)
    file.provenance.check(subject, direction)
    laboratory = run(
        subject,
        file,
        suite,
        judge,
        limit=limit,
        n_random=n_random,
        seed=seed,
        max_tokens=max_tokens,
        on_step=lambda step: click.echo(f"{step} ...", err=True),
    )
    if page is not None:
        from overrefusal.reports.html.laboratory import laboratory_page

        write_whole(page, laboratory_page(laboratory, file))
        click.echo(f"wrote {page}", err=True)
    if as_json:
        print_json(laboratory.to_dict())
        return
    from overrefusal.reports.direction import print_laboratory

    print_laboratory(console(), laboratory)


@command.command("plot")
@click.argument("direction", type=_FILE)
@click.option(
    "--what",
    type=click.Choice(["projections", "categories", "patterns", "languages", "landscape"]),
    default="projections",
    show_default=True,
)
@click.option("--out", type=_FILE, required=True, help="The SVG file to write.")
@json_option
def plot_command(direction: Path, what: str, out: Path, as_json: bool) -> None:
    """Draw what DIRECTION's file holds, as an SVG that fits light and dark pages.

    Projections by layer and group; cosines between categories, patterns or languages; or the
    landscape of the selection.
    """
    from overrefusal.directions.files import load_direction
    from overrefusal.directions.plots import plot

    file = load_direction(direction)
    if out.suffix != ".svg":
        raise OverrefusalError(f"--out {out}: pictures are SVG; name it {out.with_suffix('.svg')}")
    write_whole(out, plot(file, what))
    click.echo(f"wrote {out}", err=True)
    if as_json:
        print_json({"file": str(out), "what": what})


def _subject(model: str, blocks: str | None, device: str | None, dtype: str | None) -> Subject:
    from overrefusal.activations.structure import Names
    from overrefusal.directions.subject import open_subject

    names = None
    if blocks is not None:
        parts = blocks.split(",")
        if len(parts) != 3:
            raise OverrefusalError(
                f"--blocks {blocks}: write three names, as in model.layers,self_attn,mlp"
            )
        names = Names(*parts)
    return open_subject(model.removeprefix("hf/"), names=names, device=device, dtype=dtype)
