"""Local generation: this tool's loop, ``model.generate`` and transformers' continuous batching.

    python benchmarks/local_generation.py                          # all models, 500 prompts
    python benchmarks/local_generation.py --models bouncer --runs 1 --prompts 60   # a smoke test

500 prompts of mixed length, each with a limit of its own for its answer (log-uniform). The peers:

- ``static N``: ``model.generate`` on left-padded batches of N prompts in the order given, up to
  the largest limit of the batch; what a row says beyond its own limit is cut off and not counted.
- ``static N, sorted``: larger batches of prompts sorted by length, its best setting on a CPU.
- ``one at a time``: ``model.generate`` on each prompt alone, the reference of the answers.
- ``continuous``: transformers' continuous batching (``generate_batch``'s manager), its cache set to
  the size that the prompts need; its default size fills half the memory of a CPU first.

transformers' continuous batching serves CPUs, but packs all prompts of a step into one row, so that
hooks cannot tell them apart, and took 1.6 times the processor's time of our loop on 100 prompts of
the random model and 3.8 times on Bouncer; so local models go through our loop.

``identical`` counts the prompts whose answer is the reference's token by token. The runs of the
contenders alternate; figures are medians, ratios are taken within a round. Prompts and tokens per
second are, on a CPU, those of the processor's own time, which suffers less than wall time from what
else the machine does. One thread.

What ``--stop-when-judged`` saves depends on how long answers are, and on the judge. It is measured
twice: on Bouncer, whose answers are short, and on real answers of five models to XSTest where
``OVERREFUSAL_DATA`` has them: the share of their tokens (four characters each) that is generated
before the judge is certain, and how often it says the same of the part as of the whole. The
settings in ``judges/early.py`` were chosen on 900 of the answers; the others are reported.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers.generation import ContinuousBatchingConfig

from overrefusal.models.local.chat import encode, render
from overrefusal.models.local.generate import end_tokens, generate
from overrefusal.models.local.load import Loaded, load
from overrefusal.models.local.model import LOOK
from overrefusal.statistics import DECLINED

Answers = list[list[int]]
OURS = "overrefusal"
ALONE = "one at a time"
STATIC = 32
PART = 100
"""Prompts that the slowest contender is given."""
CHOSEN_ON = 900


@dataclass(frozen=True)
class Work:
    """What is asked of one model."""

    name: str
    loaded: Loaded
    prompts: list[list[int]]
    limits: list[int]

    def part(self, count: int) -> Work:
        return Work(self.name, self.loaded, self.prompts[:count], self.limits[:count])


def bouncer(count: int) -> Work:
    from overrefusal.bouncer import suite

    loaded = load("bouncer", device="cpu")
    prompts = [
        encode(loaded.tokenizer, render(loaded.tokenizer, p.messages))
        for p in suite("heldout", count, 0)
    ]
    return Work("Bouncer", loaded, prompts, lengths(count, 4, 64, seed=1))


def random_llama(count: int, size: str) -> Work:
    """A Llama with random weights: 100 million in float32, or a billion in bfloat16 on a GPU."""
    shape = {
        "100M": {"hidden_size": 640, "intermediate_size": 1728, "num_hidden_layers": 16},
        "1B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16},
    }[size]
    config = transformers.LlamaConfig(
        vocab_size=32000 if size == "100M" else 128256,
        num_attention_heads=10 if size == "100M" else 32,
        num_key_value_heads=10 if size == "100M" else 8,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
        **shape,
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config).eval()
    if size == "1B":
        model = model.to("cuda", torch.bfloat16)
    tokenizer = load("bouncer", device="cpu").tokenizer
    draw = random.Random(2)
    longest, most = (48, 32) if size == "100M" else (512, 256)
    prompts = [
        [draw.randrange(2, config.vocab_size) for _ in range(n)]
        for n in lengths(count, 8, longest, seed=3)
    ]
    loaded = Loaded(f"hf/random-{size}", size, model, tokenizer)
    return Work(f"random Llama, {size}", loaded, prompts, lengths(count, 4, most, seed=4))


def lengths(count: int, least: int, most: int, seed: int) -> list[int]:
    """Log-uniform whole numbers."""
    draw = random.Random(seed)
    return [round(least * (most / least) ** draw.random()) for _ in range(count)]


def ours(work: Work) -> Answers:
    return generate(work.loaded, work.prompts, work.limits)


def static(size: int, in_order: bool = True) -> Callable[[Work], Answers]:
    def run(work: Work) -> Answers:
        order = list(range(len(work.prompts)))
        if not in_order:
            order.sort(key=lambda i: len(work.prompts[i]))
        out: Answers = [[] for _ in order]
        for begin in range(0, len(order), size):
            chosen = order[begin : begin + size]
            limits = [work.limits[i] for i in chosen]
            rows = plain(work.loaded, [work.prompts[i] for i in chosen], max(limits))
            for i, row, limit in zip(chosen, rows, limits, strict=True):
                out[i] = row[:limit]
        return out

    return run


def alone(work: Work) -> Answers:
    return [
        plain(work.loaded, [prompt], limit)[0]
        for prompt, limit in zip(work.prompts, work.limits, strict=True)
    ]


def plain(loaded: Loaded, prompts: Sequence[Sequence[int]], limit: int) -> Answers:
    """``model.generate`` on left-padded prompts; answers end with their end token."""
    ends = sorted(end_tokens(loaded))
    pad = loaded.tokenizer.pad_token_id
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    device = loaded.model.device
    with torch.inference_mode():
        produced = loaded.model.generate(
            ids.to(device),
            attention_mask=mask.to(device),
            do_sample=False,
            max_new_tokens=limit,
            eos_token_id=ends,
            pad_token_id=pad,
        )[:, width:].tolist()
    return [until(row, ends) for row in produced]


def continuous(work: Work) -> Answers:
    loaded = work.loaded
    needed = sum(len(p) + n for p, n in zip(work.prompts, work.limits, strict=True))
    settings = ContinuousBatchingConfig(num_blocks=needed // 256 + 256, max_batch_tokens=1024)
    config = transformers.GenerationConfig(
        do_sample=False, eos_token_id=sorted(end_tokens(loaded)), pad_token_id=0
    )
    out: dict[str, list[int]] = {}
    attention = loaded.model.config._attn_implementation
    try:
        with loaded.model.continuous_batching_context_manager(
            generation_config=config, continuous_batching_config=settings, warmup=False
        ) as manager:
            for i, (prompt, limit) in enumerate(zip(work.prompts, work.limits, strict=True)):
                manager.add_request(list(prompt), request_id=str(i), max_new_tokens=limit)
            while len(out) < len(work.prompts):
                result = manager.get_result(timeout=60)
                if result is None:
                    raise SystemExit("continuous batching gave no answer within a minute")
                if result.is_finished():
                    out[result.request_id] = list(result.generated_tokens)
    finally:
        loaded.model.set_attn_implementation(attention)
    return [out[str(i)] for i in range(len(work.prompts))]


def until(row: list[int], ends: Sequence[int]) -> list[int]:
    """``row`` up to its first end token, that included."""
    at = next((i for i, token in enumerate(row) if token in ends), len(row))
    return row[: at + 1]


def timed(run: Callable[[Work], Answers], work: Work) -> tuple[float, float, Answers]:
    """Seconds by the clock, seconds of the processor, answers."""
    if work.loaded.model.device.type == "cuda":
        torch.cuda.synchronize()
    wall, cpu = time.perf_counter(), time.process_time()
    answers = run(work)
    return time.perf_counter() - wall, time.process_time() - cpu, answers


@dataclass
class Measured:
    """What one contender needed, and what this tool needed beside it: (wall, cpu) seconds."""

    work: Work
    times: list[tuple[float, float]]
    ours: list[tuple[float, float]]
    answers: Answers

    def line(self, name: str, reference: Answers) -> str:
        wall = statistics.median(w for w, _ in self.times)
        cpu = statistics.median(c for _, c in self.times)
        pairs = list(zip(self.times, self.ours, strict=True))
        by_wall = statistics.median(theirs[0] / own[0] for theirs, own in pairs)
        by_cpu = statistics.median(theirs[1] / own[1] for theirs, own in pairs)
        clock = cpu if self.work.loaded.model.device.type == "cpu" else wall
        count = len(self.answers)
        tokens = sum(map(len, reference[:count]))
        same = sum(a == b for a, b in zip(self.answers, reference, strict=False))
        return (
            f"{name:24}{len(self.times):5}{wall:9.2f}{cpu:9.2f}{count / clock:11.1f}"
            f"{tokens / clock:10.0f}{by_wall:8.1f}{by_cpu:7.1f}{same:7}/{count}"
        )


def compare(work: Work, runs: int) -> None:
    start = work.part(PART)
    ours(work.part(20))
    found: dict[str, Measured] = {}

    def measure(name: str, run: Callable[[Work], Answers], of: Work, own: Any = None) -> Any:
        wall, cpu, answers = timed(run, of)
        print(f"  {of.name}: {name} {wall:.1f} s, {cpu:.1f} s of it its own", file=sys.stderr)
        entry = found.setdefault(name, Measured(of, [], [], answers))
        entry.times.append((wall, cpu))
        entry.ours.append(own or (wall, cpu))
        return wall, cpu

    own = measure(OURS, ours, work)
    measure(ALONE, alone, work, own)
    try:
        for turn in range(runs):
            own = measure(OURS, ours, work) if turn else own
            measure(f"static {STATIC}", static(STATIC), work, own)
        measure(f"static {2 * STATIC}, sorted", static(2 * STATIC, in_order=False), work, own)
        part = timed(ours, start)
        measure(f"continuous, first {PART}", continuous, start, part[:2])
    except KeyboardInterrupt:
        print(f"\n{work.name}: stopped by hand; what was measured until then", flush=True)
    reference = found[ALONE].answers
    count = len(work.prompts)
    print(
        f"\n{work.name}: {count} prompts of {min(map(len, work.prompts))} to "
        f"{max(map(len, work.prompts))} tokens (mean {sum(map(len, work.prompts)) / count:.0f}), "
        f"answers of {min(map(len, reference))} to {max(map(len, reference))} (mean "
        f"{sum(map(len, reference)) / count:.0f}), "
        f"{str(work.loaded.model.dtype).removeprefix('torch.')} on {work.loaded.model.device.type}"
    )
    print(
        f"{'':24}{'runs':>5}{'wall s':>9}{'cpu s':>9}{'prompts/s':>11}{'tokens/s':>10}"
        f"{'wall x':>8}{'cpu x':>7}{'identical':>11}"
    )
    for name, entry in found.items():
        print(entry.line(name, reference), flush=True)


def judged(work: Work, runs: int) -> None:
    """Bouncer's answers to the end, and until the rules are certain."""
    from overrefusal.judges.early import EarlyStop
    from overrefusal.judges.rules import RulesJudge

    early = EarlyStop(RulesJudge())
    decode = work.loaded.tokenizer.decode

    def whole(work: Work) -> Answers:
        return generate(work.loaded, work.prompts, 64)

    def cut(work: Work) -> Answers:
        watches = [early.watch("") for _ in work.prompts]

        def stop(i: int, tokens: list[int]) -> bool:
            return len(tokens) % LOOK == 0 and watches[i].certain(decode(tokens))

        return generate(work.loaded, work.prompts, 64, stop=stop)

    ratios, counts = [], (0, 0)
    for _ in range(runs):
        full, less = timed(whole, work), timed(cut, work)
        ratios.append(full[1] / less[1])
        counts = (sum(map(len, full[2])), sum(map(len, less[2])))
    print(
        f"\n--stop-when-judged, {work.name}, rules: {counts[1]} of {counts[0]} tokens, "
        f"{statistics.median(ratios):.2f} times as fast (median of {runs}, processor's time)"
    )


def judged_texts(folder: Path) -> None:
    """How much of real answers is needed, on those that no setting was chosen on."""
    from overrefusal.judges.early import EarlyStop
    from overrefusal.judges.protocol import Exchange
    from overrefusal.judges.registry import get_judge
    from overrefusal.records import Response

    texts: list[tuple[str, str]] = []
    for path in sorted(folder.glob("completions_*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            texts += [(row["prompt"], row["completion"]) for row in csv.DictReader(file)]
    random.Random(0).shuffle(texts)
    texts = texts[CHOSEN_ON:]
    for spec in ("rules", "local"):
        judge: Any = get_judge(spec)
        early = EarlyStop(judge)
        read = [text[: _needed(early.watch(prompt), text)] for prompt, text in texts]
        verdicts = [
            judge.judge_now(
                [Exchange(p, Response(text=t)) for (p, _), t in zip(texts, of, strict=True)]
            )
            for of in ([text for _, text in texts], read)
        ]
        same = sum(a.outcome == b.outcome for a, b in zip(*verdicts, strict=True))
        sides = sum(
            (a.outcome in DECLINED) == (b.outcome in DECLINED)
            for a, b in zip(*verdicts, strict=True)
        )
        share = sum(map(len, read)) / sum(len(text) for _, text in texts)
        cut = sum(len(part) < len(text) for part, (_, text) in zip(read, texts, strict=True))
        print(
            f"--stop-when-judged, {len(texts)} real answers, {spec}: {share:.0%} of the text, "
            f"{1 / share:.1f} times fewer tokens; {cut} answers cut; same outcome for {same}, "
            f"same side (declined or not) for {sides}"
        )


def _needed(watch: Any, text: str) -> int:
    """Characters of ``text`` after which the judge is certain of it."""
    step = 4 * LOOK
    return next((c for c in range(step, len(text), step) if watch.certain(text[:c])), len(text))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", nargs="+", default=["bouncer", "100M", "1B"])
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the "
        f"start, Python {platform.python_version()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}"
    )
    print("'wall x' and 'cpu x': so many times the time of this tool's loop")
    works: dict[str, Callable[[], Work]] = {
        "bouncer": lambda: bouncer(given.prompts),
        "100M": lambda: random_llama(given.prompts, "100M"),
        "1B": lambda: random_llama(given.prompts, "1B"),
    }
    for name in given.models:
        if name == "1B" and not torch.cuda.is_available():
            print("\nrandom Llama, 1B: left out, torch sees no GPU here")
            continue
        work = works[name]()
        compare(work, given.runs)
        if name == "bouncer":
            judged(work, given.runs)
            answers = Path(os.environ.get("OVERREFUSAL_DATA", "")) / "xstest"
            if answers.is_dir():
                judged_texts(answers)
            else:
                print("--stop-when-judged on real answers: left out, OVERREFUSAL_DATA has none")
    print(f"\nload {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
