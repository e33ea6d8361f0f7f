"""Wall time and memory of one evaluation: this tool, Inspect and lm-evaluation-harness.

    python benchmarks/eval_throughput.py                      # 2,000 and 10,000, 0 and 50 ms
    python benchmarks/eval_throughput.py --alone 80000        # and this tool alone at 80,000
    python benchmarks/eval_throughput.py --sizes 200 --runs 1 # a smoke test

All three ask one local server the same prompts with the same concurrency, store every answer and
score it: this tool with its rule judge into SQLite, Inspect with its ``includes`` scorer into its
log, lm-evaluation-harness with a regular-expression filter and exact match, samples logged. Wall
time is that of the whole process, start-up included; memory is its peak resident set, as the
kernel counts it; cpu is user and system time, without the server's. The peers are installed at
pinned versions into environments of their own under ``--cache`` on first use. The server counts
what it was asked, and a run that did not ask every prompt once is no result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SERVER = Path(__file__).with_name("fast_server.py")
OURS = "overrefusal"
PINS = {
    "inspect": ["inspect-ai==0.3.285", "openai==3.54.0"],
    "lm-eval": ["lm-eval[api]==0.4.13"],
}
MAX_TOKENS = 256

INSPECT_TASK = """
from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

@task
def bench(suite):
    fields = FieldSpec(input="prompt", target="target", id="id")
    return Task(dataset=json_dataset(suite, fields), solver=generate(), scorer=includes())
"""
LM_EVAL_TASK = """
task: bench
dataset_path: json
dataset_kwargs:
  data_files:
    test: {suite}
test_split: test
output_type: generate_until
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{target}}}}"
generation_kwargs:
  until: []
  max_gen_toks: {max_tokens}
  do_sample: false
filter_list:
  - name: refusal
    filter:
      - function: regex
        regex_pattern: "(can't|cannot|won't)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""


@dataclass(frozen=True)
class Measured:
    """One process from its start to its end."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Command:
    """What to run, and with what beside the usual environment."""

    argv: list[str]
    env: dict[str, str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2000, 10000])
    parser.add_argument("--alone", type=int, nargs="*", default=[], help="sizes for this tool only")
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[0.0, 50.0])
    parser.add_argument("--tools", nargs="+", default=[OURS, *PINS], choices=[OURS, *PINS])
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--runs", type=int, default=3, help="of sizes up to 2,000; else one")
    parser.add_argument(
        "--cache", type=Path, default=Path.home() / ".cache" / "overrefusal-benchmarks"
    )
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    pythons = {
        tool: peer_python(args.cache / tool, PINS[tool]) for tool in args.tools if tool != OURS
    }
    lines = header(args.concurrency, pythons)
    print("\n".join(lines), flush=True)
    cases = [(n, args.tools) for n in args.sizes] + [(n, [OURS]) for n in args.alone]
    with tempfile.TemporaryDirectory() as folder:
        for latency in args.latency_ms:
            for size, tools in cases:
                base: float | None = None
                for tool in tools:
                    runs = [
                        measure(tool, pythons, Path(folder), size, latency, args.concurrency)
                        for _ in range(args.runs if size <= 2000 or tool == OURS else 1)
                    ]
                    wall = statistics.median(r.wall_s for r in runs)
                    base = wall if tool == OURS else base
                    lines.append(row(tool, size, latency, runs, base))
                    print(lines[-1], flush=True)
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        partial = args.out.with_suffix(".part")
        partial.write_text("\n".join(lines) + "\n")
        os.replace(partial, args.out)


def header(concurrency: int, pythons: dict[str, str]) -> list[str]:
    """What was measured on what, and the table's head."""
    load = os.getloadavg()[0]
    versions = ", ".join(pin for tool in pythons for pin in PINS[tool])
    return [
        f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} at the start, "
        f"Python {platform.python_version()}",
        f"concurrency {concurrency}, max_tokens {MAX_TOKENS}; {versions or 'no peers'}",
        "wall and cpu in s (median), peak memory in MB (largest), ratio of wall to this tool's",
        "",
        f"{'tool':12} {'prompts':>8} {'latency':>8} {'runs':>4} {'wall':>9} {'cpu':>8} "
        f"{'peak':>7} {'prompts/s':>10} {'ratio':>7}",
    ]


def row(tool: str, size: int, latency: float, runs: list[Measured], base: float | None) -> str:
    """One line of the table."""
    wall = statistics.median(r.wall_s for r in runs)
    cpu = statistics.median(r.cpu_s for r in runs)
    peak = max(r.peak_mb for r in runs)
    ratio = f"{wall / base:7.1f}" if base else f"{'-':>7}"
    return (
        f"{tool:12} {size:8,} {latency:5.0f} ms {len(runs):4} {wall:9.2f} {cpu:8.2f} {peak:7.0f} "
        f"{size / wall:10,.0f} {ratio}"
    )


def measure(
    tool: str, pythons: dict[str, str], folder: Path, size: int, latency: float, concurrency: int
) -> Measured:
    """One run of ``tool`` on ``size`` prompts, in a fresh folder against a fresh server."""
    suite = write_suite(folder / f"suite-{size}.jsonl", size, with_target=tool != OURS)
    commands: dict[str, Callable[[], Command]] = {
        OURS: lambda: ours(work, suite, url, concurrency),
        "inspect": lambda: inspect(pythons[tool], work, suite, url, concurrency),
        "lm-eval": lambda: lm_eval(pythons[tool], work, suite, url, concurrency),
    }
    with tempfile.TemporaryDirectory(dir=folder) as name, server(latency) as url:
        work = Path(name)
        measured = timed(commands[tool](), work)
        answered = json.load(urllib.request.urlopen(f"{url}/stats"))["answered"]
    if answered != size:
        raise SystemExit(f"{tool}: the server answered {answered} prompts, not {size}")
    return measured


def ours(work: Path, suite: Path, url: str, concurrency: int) -> Command:
    argv = [
        *(sys.executable, "-m", "overrefusal", "eval", "endpoint/bench"),
        *("--base-url", f"{url}/v1", "--suite", str(suite), "--judge", "rules"),
        *("--store", str(work / "runs.db"), "--concurrency", str(concurrency)),
        *("--max-tokens", str(MAX_TOKENS), "--json"),
    ]
    return Command(argv, {})


def inspect(python: str, work: Path, suite: Path, url: str, concurrency: int) -> Command:
    (work / "task.py").write_text(INSPECT_TASK)
    argv = [
        *(python, "-m", "inspect_ai", "eval", "task.py", "-T", f"suite={suite}"),
        *("--model", "openai-api/bench/bench", "--model-base-url", f"{url}/v1"),
        *("--max-connections", str(concurrency), "--max-samples", str(concurrency)),
        *("--max-tokens", str(MAX_TOKENS), "--temperature", "0"),
        *("--display", "none", "--log-dir", str(work / "logs")),
    ]
    return Command(argv, {"BENCH_API_KEY": "none"})


def lm_eval(python: str, work: Path, suite: Path, url: str, concurrency: int) -> Command:
    (work / "bench.yaml").write_text(LM_EVAL_TASK.format(suite=suite, max_tokens=MAX_TOKENS))
    model_args = (
        f"model=bench,base_url={url}/v1/chat/completions,num_concurrent={concurrency},"
        "tokenizer_backend=None,tokenized_requests=False,max_retries=1"
    )
    argv = [
        *(python, "-m", "lm_eval", "--model", "local-chat-completions"),
        *("--model_args", model_args, "--tasks", "bench", "--include_path", str(work)),
        *("--apply_chat_template", "--log_samples", "--output_path", str(work / "out")),
    ]
    env = {"HF_HOME": str(work / "hf"), "HF_HUB_OFFLINE": "1", "OPENAI_API_KEY": "none"}
    return Command(argv, env)


def timed(command: Command, work: Path) -> Measured:
    """Run ``command`` to its end; ``SystemExit`` with what it said where it failed."""
    log = work / "output.txt"
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command.argv,
            cwd=work,
            env={**os.environ, **command.env},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command.argv[:5])} failed:\n{log.read_text()[-3000:]}")
    # Linux counts kilobytes, macOS bytes.
    scale = 1e6 if sys.platform == "darwin" else 1e3
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale)


def write_suite(path: Path, size: int, *, with_target: bool) -> Path:
    """Distinct prompts, every other one expected to be refused; peers' files have a target."""
    path = path.with_stem(f"{path.stem}{'-peers' if with_target else ''}")
    with path.open("w") as file:
        for i in range(size):
            prompt = f"Question {i}: which of the two is the better choice for number {i}, and why?"
            prompt_row = {"id": f"p{i}", "prompt": prompt}
            prompt_row |= (
                {"target": "can't"} if with_target else {"expected": ("answer", "refuse")[i % 2]}
            )
            file.write(json.dumps(prompt_row) + "\n")
    return path


@contextmanager
def server(latency_ms: float) -> Iterator[str]:
    """The server in a process of its own; yields its address."""
    process = subprocess.Popen(
        [sys.executable, str(SERVER), "--latency-ms", str(latency_ms)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def peer_python(folder: Path, pins: list[str]) -> str:
    """The interpreter of a peer's environment, which is made where it is not there yet."""
    python, ready = folder / "bin" / "python", folder / "pins.json"
    if not ready.is_file() or json.loads(ready.read_text()) != pins:
        print(f"installing {' '.join(pins)} into {folder}", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *pins], check=True)
        ready.write_text(json.dumps(pins))
    return str(python)


if __name__ == "__main__":
    main()
