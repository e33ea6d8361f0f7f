"""Runs what the docs show, and compares or rewrites the outputs on their pages.

    python docs/_tools/commands.py            # compare
    python docs/_tools/commands.py --write    # put today's outputs into the pages

Each page runs in a folder of its own that holds a copy of ``examples/``; a server on loopback
stands in for the providers.
"""

from __future__ import annotations

import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent))

import standin
from pages import DOCS, Step, page_name, pages, steps

ROOT = DOCS.parent
NOT_RUN = (
    "make test",
    "pip install .",
    "pip install overrefusal",
    "pip install 'overrefusal[local]'",
    "pip install 'overrefusal[inspect]'",
    "overrefusal suite fetch xstest",
)
"""Commands that cannot run without a network, or, as `make test`, within a test."""
_MENU = b"[q]uit"
"""What `calibrate` prints when it waits for a key."""
_PORT = "http://127.0.0.1:8000"
_VARYING = (
    (re.compile(r"\b[0-9a-f]{8}\b"), "xxxxxxxx"),
    (re.compile(r"\b\d{4}-\d\d-\d\d \d\d:\d\d\b"), "date"),
    # The sample to label is drawn by the run's id.
    (re.compile(r"(?<=labels of people: ).*"), "rate"),
    (re.compile(r"[ \t]+$", re.MULTILINE), ""),
)


class PageError(AssertionError):
    """A command of the docs that does not do what its page says."""


def run_page(path: Path, address: str, folder: Path) -> tuple[list[tuple[Step, str]], list[str]]:
    """Runs the page's steps in ``folder``.

    Returns each command with its output (what it wrote to stdout, cut to what the page shows) and
    the commands left out for want of an extra. Raises ``PageError`` where an exit code is not the
    stated one.
    """
    environment = _environment(address, folder)
    shutil.copytree(ROOT / "examples", folder / "examples")
    outputs: list[tuple[Step, str]] = []
    left_out: list[str] = []
    python: list[Step] = []
    for step in steps(path):
        if step.kind == "file":
            target = folder / step.options["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(step.text, encoding="utf-8")
        elif step.kind == "python":
            python.append(step)
        elif step.kind == "workflow":
            summary = {**environment, "GITHUB_STEP_SUMMARY": str(folder / "summary.md")}
            for command in _workflow_commands(step.text):
                if command not in NOT_RUN:
                    _run(step, command, folder, summary, address)
        elif step.text in NOT_RUN:
            continue
        elif missing := _missing(step):
            left_out.append(f"{step.text} (needs {missing})")
        else:
            said = _run(step, step.text, folder, environment, address)
            outputs.append((step, said))
    if python:
        # A page's blocks are one program.
        (folder / "page.py").write_text("\n".join(step.text for step in python), encoding="utf-8")
        _run(python[0], "python page.py", folder, environment, address)
    return outputs, left_out


def same(shown: str, said: str) -> bool:
    """Whether the output on the page is today's, but for ids, dates and what hangs on an id."""
    for pattern, stand_in in _VARYING:
        shown, said = pattern.sub(stand_in, shown), pattern.sub(stand_in, said)
    return shown.strip("\n") == said.strip("\n")


def _environment(address: str, folder: Path) -> dict[str, str]:
    tools = folder / ".tools"
    tools.mkdir()
    python = shlex.quote(sys.executable)
    scripts = {
        "python": f'exec {python} "$@"\n',
        # `make demo` runs this once everything is installed.
        "make": f'test "$*" = demo && exec {python} examples/demo.py\n',
        # The kinds whose address no variable sets are sent to the stand-in by an option.
        "overrefusal": f'case " $*" in *" anthropic/"*|*" google/"*|*" bedrock/"*) '
        f'set -- "$@" --base-url {address};; esac\nexec {python} -m overrefusal "$@"\n',
    }
    for name, script in scripts.items():
        tool = tools / name
        tool.write_text(f"#!/bin/sh\n{script}")
        tool.chmod(0o755)
    kept = {k: v for k, v in os.environ.items() if k in ("VIRTUAL_ENV", "OMP_NUM_THREADS", "LANG")}
    return kept | {
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(folder),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        "PYTHONUTF8": "1",
        "COLUMNS": "96",
        "TERM": "dumb",
        "TZ": "UTC",
        "OPENAI_BASE_URL": f"{address}/v1",
        "AZURE_OPENAI_ENDPOINT": address,
        "AWS_REGION": "us-east-1",
        "HF_HUB_OFFLINE": "1",
        **dict.fromkeys(
            (
                "OPENAI_API_KEY",
                "ANTHROPIC_API_KEY",
                "GEMINI_API_KEY",
                "AZURE_OPENAI_API_KEY",
                "AWS_BEARER_TOKEN_BEDROCK",
            ),
            "no-real-key",
        ),
    }


def _run(step: Step, command: str, folder: Path, environment: dict[str, str], address: str) -> str:
    command = command.replace(_PORT, address)
    wanted = int(step.options.get("exit", 0))
    if "person" in step.options:
        code, out, err = _labelled(command, folder, environment)
    else:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-ec", command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=300,
        )
        code, out, err = done.returncode, done.stdout, done.stderr
    if code != wanted:
        raise PageError(
            f"{step.page}:{step.line}: exit {code}, not {wanted}: {command}\n{out}{err}"
        )
    out = out.replace(address, _PORT)
    lines = int(step.options.get("lines", 0))
    if lines and len(out.splitlines()) > lines:
        out = "\n".join([*out.splitlines()[:lines], "..."])
    return re.sub(r"[ \t]+$", "", out.strip("\n"), flags=re.MULTILINE) + "\n"


def _labelled(command: str, folder: Path, environment: dict[str, str]) -> tuple[int, str, str]:
    """Runs `calibrate` on a terminal and labels what it shows as somebody would who reads it."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", command], cwd=folder, env=environment,
        stdin=follower, stdout=follower, stderr=follower,
    )  # fmt: skip
    os.close(follower)
    screen, exchange = b"", b""
    try:
        while more := _read(leader):
            screen += more
            exchange += more
            if _MENU in exchange:
                # The terminal drops what is typed before the program listens for one key.
                time.sleep(0.2)
                os.write(leader, b"r" if standin.declines(exchange.decode()) else b"c")
                exchange = b""
    finally:
        os.close(leader)
        code = process.wait(timeout=60)
    return code, screen.decode("utf-8", "replace").replace("\r\n", "\n"), ""


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux reports so that the other end was closed.
        return b""


def _workflow_commands(text: str) -> list[str]:
    jobs = yaml.safe_load(text)["jobs"].values()
    return [step["run"] for job in jobs for step in job["steps"] if "run" in step]


def _missing(step: Step) -> str | None:
    module = step.options.get("needs")
    return module if module and find_spec(module) is None else None


def _rewrite(path: Path, outputs: list[tuple[Step, str]]) -> bool:
    before = text = path.read_text(encoding="utf-8")
    for step, said in outputs:
        if step.shown is not None and not same(step.shown, said):
            old = f"$ {step.text}\n{step.shown}"
            if text.count(old) != 1:
                raise PageError(f"{step.page}:{step.line}: stands more than once on the page")
            text = text.replace(old, f"$ {step.text}\n{said}")
    path.write_text(text, encoding="utf-8")
    return text != before


def main(arguments: list[str]) -> int:
    """Compares or, with ``--write``, rewrites; returns the exit code."""
    write = "--write" in arguments
    names = [a for a in arguments if not a.startswith("-")]
    failed = False
    with standin.serve() as address:
        for path in pages():
            page = page_name(path)
            if names and page not in names:
                continue
            started = time.monotonic()
            with tempfile.TemporaryDirectory() as folder:
                try:
                    outputs, left_out = run_page(path, address, Path(folder))
                except PageError as error:
                    print(error)
                    failed = True
                    continue
            changed = [s for s, said in outputs if s.shown is not None and not same(s.shown, said)]
            print(f"{page}: {len(outputs)} commands, {time.monotonic() - started:.1f} s")
            for command in left_out:
                print(f"  left out: {command}")
            for step in changed:
                print(f"  {'rewritten' if write else 'DIFFERS'}: line {step.line}: {step.text}")
            if write:
                _rewrite(path, outputs)
            failed |= bool(changed) and not write
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
