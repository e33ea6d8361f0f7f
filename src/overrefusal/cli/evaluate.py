"""`overrefusal eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from overrefusal.cli.options import (
    exit_on_failures,
    json_option,
    max_error_share_option,
    progress_printer,
    read_text,
    show,
    store_option,
)
from overrefusal.errors import OverrefusalError
from overrefusal.models.local.options import DTYPES, QUANTIZATIONS, LocalOptions


@click.command("eval")
@click.argument("model")
@click.option("--suite", default="starter", show_default=True, help="A suite's name or file.")
@click.option("--language", help="Only the suite's prompts in this language, such as de.")
@click.option("--limit", type=click.IntRange(min=1), help="Only the suite's first so many prompts.")
@click.option(
    "--system",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The operator's system prompt.",
)
@click.option("--judge", default="rules", show_default=True, help="The judge's spec.")
@click.option("--label", help="What to call the run in reports and to refer to it by.")
@click.option("--samples", type=click.IntRange(min=1), default=1, show_default=True)
@click.option(
    "--temperature",
    default="0",
    show_default=True,
    metavar="FLOAT|default",
    callback=lambda context, option, value: _temperature(value),
    help="'default' leaves it to the provider, as reasoning models demand.",
)
@click.option("--top-p", type=click.FloatRange(0, 1))
@click.option("--max-tokens", type=click.IntRange(min=1))
@click.option("--seed", type=int, help="Sample i of a prompt is asked with seed + i.")
@click.option("--base-url", metavar="URL", help="Where an endpoint/ model listens.")
@click.option("--concurrency", type=click.IntRange(min=1), default=32, show_default=True)
@click.option("--rpm", type=click.FloatRange(min=0, min_open=True), help="Requests per minute.")
@click.option("--tpm", type=click.FloatRange(min=0, min_open=True), help="Tokens per minute.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=120.0,
    show_default=True,
    help="Seconds for one request.",
)
@click.option("--max-attempts", type=click.IntRange(min=1), default=10, show_default=True)
@click.option("--device", help="Where an hf/ model runs: cpu, cuda:1, auto for all GPUs.")
@click.option("--dtype", type=click.Choice(DTYPES), help="The precision of an hf/ model.")
@click.option("--quantize", type=click.Choice(QUANTIZATIONS), help="Of an hf/ model's weights.")
@click.option("--adapter", metavar="NAME-OR-DIR", help="A PEFT adapter on an hf/ model.")
@click.option(
    "--stop-when-judged",
    is_flag=True,
    help="End an hf/ model's answer as soon as the judge is certain of it.",
)
@click.option("--fresh", is_flag=True, help="Take no answer from earlier runs.")
@max_error_share_option
@store_option
@json_option
@click.pass_context
def command(context: click.Context, /, model: str, as_json: bool, **options: Any) -> None:
    """Ask MODEL every prompt of a suite, judge the answers, keep the run and report it.

    MODEL is openai/NAME, azure/NAME, anthropic/NAME, google/NAME, bedrock/NAME, endpoint/NAME with
    --base-url for all that speaks the OpenAI protocol, hf/NAME-OR-DIR, replay/FILE, or
    inspect/PROVIDER/NAME. An interrupted run goes on when the command is repeated.
    """
    from overrefusal.evaluation import Connection, evaluate
    from overrefusal.records import Sampling
    from overrefusal.suites import load_suite

    suite = load_suite(options["suite"], language=options["language"], limit=options["limit"])
    system = read_text(options["system"]) if options["system"] else None
    if system is not None and not system.strip():
        raise OverrefusalError(f"--system {options['system']}: the file is empty")
    update, stop = progress_printer("eval")
    try:
        run = evaluate(
            model,
            suite,
            judge=options["judge"],
            system=system,
            sampling=Sampling(
                temperature=options["temperature"],
                max_tokens=options["max_tokens"],
                top_p=options["top_p"],
                seed=options["seed"],
            ),
            samples=options["samples"],
            label=options["label"],
            store=options["store"],
            connection=Connection(
                base_url=options["base_url"],
                concurrency=options["concurrency"],
                rpm=options["rpm"],
                tpm=options["tpm"],
                timeout=options["timeout"],
                max_attempts=options["max_attempts"],
            ),
            local=LocalOptions(
                options["device"], options["dtype"], options["quantize"], options["adapter"]
            ),
            stop_when_judged=options["stop_when_judged"],
            fresh=options["fresh"],
            on_progress=update,
        )
    finally:
        stop()
    show(run, as_json)
    exit_on_failures(context, run.failed_share, options["max_error_share"])


def _temperature(value: str) -> float | None:
    if value == "default":
        return None
    try:
        temperature = float(value)
    except ValueError:
        temperature = -1.0
    if not 0 <= temperature < float("inf"):
        raise OverrefusalError(
            f"--temperature {value}: give a number from 0 up, or 'default' to leave it unset"
        )
    return temperature
