"""The command line: one file a command, no logic of its own."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from overrefusal import __version__
from overrefusal.errors import OverrefusalError

# Names and first lines stand here so that --help imports no command.
COMMANDS = {
    "eval": ("evaluate", "Ask a model a suite, judge the answers, keep and report the run."),
    "rejudge": ("rejudge", "Judge a run's responses with another judge; the model is not asked."),
    "report": ("report", "Report runs: on the terminal, in HTML, Markdown or JSON."),
    "diagnose": ("diagnose", "Say why a run declined what it should answer, and what would help."),
    "compare": ("compare", "Compare two runs: what flipped, and by how much the rates moved."),
    "gate": ("gate", "Pass or fail a run by thresholds, for CI."),
    "runs": ("runs", "List, show and export runs."),
    "suite": ("suite", "List, show, check and fetch suites."),
    "calibrate": ("calibrate", "Label a sample by hand, to correct a run's rates."),
    "judge": ("judge", "Judge the responses of a file."),
    "direction": ("direction", "Find, test and picture the direction that mediates refusal."),
    "judge-check": ("judge_check", "Measure how well a judge agrees with human labels."),
}


class _Lazy(click.Group):
    def list_commands(self, context: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"overrefusal.cli.{COMMANDS[name][0]}").command
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.command(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, package_name="overrefusal")
def group() -> None:
    """See how often a model refuses what it should answer, and prove that it still refuses what
    it should.

    Exit codes: 0 done; 1 a gate failed; 2 the call or its input was wrong; 3 too many prompts
    ended as errors.
    """


def main() -> None:
    """The console script."""
    try:
        code = group(prog_name="overrefusal", standalone_mode=False)
    except OverrefusalError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("stopped; what was answered is kept: repeat the command to go on", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader of our output went away; what Python flushes at exit must go nowhere too.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        # Not 1, which says that a gate failed.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        click.echo(f"error: the output cannot be written: {error.strerror or error}", err=True)
        sys.exit(2)
    # click hands back what `context.exit` was called with instead of leaving by itself.
    sys.exit(code if isinstance(code, int) else 0)
