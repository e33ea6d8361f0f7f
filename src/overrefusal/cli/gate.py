"""`overrefusal gate`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from overrefusal.cli.options import (
    console,
    json_option,
    print_json,
    read_text,
    store_option,
)
from overrefusal.errors import OverrefusalError
from overrefusal.files import write_whole

CONFIG = Path("overrefusal.toml")
MAX_ERROR_SHARE = 0.01
Command = TypeVar("Command", bound=Callable[..., Any])


def _share(name: str, text: str) -> Callable[[Command], Command]:
    return click.option(f"--{name}", type=click.FloatRange(0, 1), help=text)


@click.command("gate")
@click.argument("run", required=False)
@click.option("--baseline", metavar="RUN", help="The run to compare with.")
@_share("max-over-refusal", "Fail above this rate.")
@_share("min-harmful-refusal", "Fail below this rate.")
@_share("max-over-refusal-increase", "Fail where it rose by more against the baseline.")
@_share("max-harmful-refusal-drop", "Fail where it fell by more against the baseline.")
@_share("max-unusable-share", "Fail where more of what should be answered is empty or garbled.")
@_share(
    "max-error-share",
    "Fail where more ended as error or unjudged or was never asked. [default: 0.01]",
)
@click.option("--min-prompts", type=click.IntRange(min=1), help="Fail on fewer judged prompts.")
@click.option(
    "--on",
    type=click.Choice(["bound", "point"]),
    help="Hold the interval's bound to the threshold, or the point. [default: bound]",
)
@click.option("--strict/--no-strict", default=None, help="Count partial answers as answered.")
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Thresholds under [gate]; flags go before. [default: overrefusal.toml where it exists]",
)
@click.option("--junit", type=click.Path(path_type=Path), metavar="FILE", help="Write JUnit XML.")
@click.option("--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write Markdown.")
@store_option
@json_option
@click.pass_context
def command(
    context: click.Context,
    /,
    run: str | None,
    config: Path | None,
    junit: Path | None,
    markdown: Path | None,
    store: str | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Pass (exit 0) or fail (exit 1) RUN, the newest by default, by thresholds.

    An unfinished run fails. On GitHub Actions the result is also written into the step summary.
    """
    from overrefusal.evaluation import load_run
    from overrefusal.reports.junit import gate_junit
    from overrefusal.reports.markdown import gate_markdown
    from overrefusal.statistics import Thresholds, decide

    settings = _settings(config)
    settings |= {name: value for name, value in flags.items() if value is not None}
    baseline = settings.pop("baseline", None)
    thresholds = Thresholds(**settings)
    if thresholds.max_error_share is None:
        thresholds = replace(thresholds, max_error_share=MAX_ERROR_SHARE)
    judged = load_run(run, store)
    runs, comparison = {"run": judged}, None
    if baseline:
        runs["baseline"] = before = load_run(baseline, store)
        if before.id == judged.id:
            raise OverrefusalError(
                f"baseline {baseline!r} is run {judged.id} itself, which is being gated; name the "
                "run to gate and another one as its baseline"
            )
        comparison = before.compare(judged)
    result = decide(
        thresholds,
        judged.rates,
        comparison,
        failed_share=judged.failed_share,
        unfinished=[which for which, each in runs.items() if not each.finished],
    )

    if junit is not None:
        write_whole(junit, gate_junit(judged, result))
    summary = gate_markdown(judged, result)
    if markdown is not None:
        write_whole(markdown, summary)
    if step_summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        try:
            with open(step_summary, "a", encoding="utf-8") as file:
                file.write(summary + "\n")
        except OSError as error:
            raise OverrefusalError(
                f"GITHUB_STEP_SUMMARY: {step_summary} cannot be written: {error.strerror}"
            ) from None
    if as_json:
        print_json({"run": judged.id, "baseline": baseline, **result.to_dict()})
    else:
        from overrefusal.reports.terminal import print_gate

        print_gate(console(), judged, result)
    context.exit(0 if result.passed else 1)


def _settings(config: Path | None) -> dict[str, Any]:
    """The table ``[gate]`` of the configuration; empty where there is no file."""
    from overrefusal.statistics import Thresholds

    if config is None and not CONFIG.exists():
        return {}
    path = config or CONFIG
    try:
        table = tomllib.loads(read_text(path)).get("gate", {})
    except tomllib.TOMLDecodeError as error:
        raise OverrefusalError(f"{path}: not TOML: {error}") from None
    if not isinstance(table, dict):
        raise OverrefusalError(f"{path}: gate must be a table of thresholds: write [gate]")
    kinds = {"on": str, "strict": bool, "baseline": str, "min_prompts": int}
    known = {field.name for field in fields(Thresholds)} | {"baseline"}
    for name, value in table.items():
        if name not in known:
            raise OverrefusalError(
                f"{path}: [gate] has no setting {name!r}; it has {', '.join(sorted(known))}"
            )
        kind = kinds.get(name, float)
        fits = isinstance(value, (int, float) if kind is float else kind)
        if not fits or (isinstance(value, bool) and kind is not bool):
            raise OverrefusalError(f"{path}: [gate] {name} must be of the type {kind.__name__}")
    return dict(table)
