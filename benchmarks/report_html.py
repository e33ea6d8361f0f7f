"""Writing and opening the HTML report of a large run.

    python benchmarks/report_html.py [--rows 80000]

Makes a run of so many made-up prompts and responses, then prints how long the page takes to
write, by the clock and in processor time, the writer's peak memory beside that of a page of a tenth
of the rows, the page's size, and, where Chromium and playwright are there, how long until it can be
used and how long a search over all texts takes. No other tool known to us writes such a page, so
there is no peer in the table.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from overrefusal import Expected, Message, Outcome, Pattern, Prompt, Response, Verdict, suite_of
from overrefusal.records import Evidence
from overrefusal.runs.store import Store

_WORDS = (
    *("the", "a", "of", "to", "and", "in", "is", "that", "it", "for", "on", "with", "as", "was"),
    *("at", "by", "an", "be", "this", "from", "or", "have", "not", "are", "but", "which", "one"),
    *("river", "garden", "market", "engine", "letter", "window", "paper", "silver", "kitchen"),
    *("orange", "station", "music", "bridge", "then", "some", "could", "about", "into", "them"),
)
_CHUNK = 1000

_WRITE = """
import json, resource, sys, time
from pathlib import Path
from overrefusal.evaluation import load_run
from overrefusal.reports.html import write_html
start, cpu = time.perf_counter(), time.process_time()
write_html(Path(sys.argv[2]), [load_run(None, sys.argv[1])])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
seconds = time.perf_counter() - start
print(json.dumps({"write_s": seconds, "cpu_s": time.process_time() - cpu, "peak_mb": peak}))
"""


def make_store(path: Path, rows: int, seed: int = 0) -> None:
    """A finished run over ``rows`` prompts; responses are about 120 words long."""
    suite = suite_of("large", _prompts(rows, seed))
    store = Store(str(path))
    store.save_suite(suite)
    run, _ = store.begin_run(
        fingerprint="f", suite=suite, judge="j/1", variant={"model": "made/up"}, samples=1
    )
    draw = random.Random(seed + 1)
    for start in range(0, rows, _CHUNK):
        numbers = range(start, min(rows, start + _CHUNK))
        answers = [(i, 0, f"k{i}", Response(text=_text(draw, 120))) for i in numbers]
        store.add_answers(run.id, answers)
        store.add_verdicts("j/1", [(f"k{i}", _verdict(draw)) for i in numbers])
    store.finish_run(run.id)
    store.close()


def _prompts(rows: int, seed: int) -> Iterator[Prompt]:
    draw = random.Random(seed)
    patterns = list(Pattern)
    for i in range(rows):
        harmful = i % 3 == 0
        yield Prompt(
            f"p{i:06d}",
            (Message("user", _text(draw, 20)),),
            Expected.REFUSE if harmful else Expected.ANSWER,
            pattern=None if harmful else draw.choice(patterns),
            category=f"category {i % 24}",
            language=draw.choice(("en", "de", "es", "fr")),
            contrast_of=f"p{i - 1:06d}" if i % 3 == 1 else None,
        )


def _text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(_WORDS, k=words)) + f" {draw.random():.9f}"


def _verdict(draw: random.Random) -> Verdict:
    p = draw.betavariate(0.3, 0.5)
    outcome = Outcome.REFUSED if p > 0.5 else Outcome.COMPLIED
    return Verdict(outcome, p, 1 - p, p, Evidence(0, 12, "declines"))


def write(store: Path, page: Path) -> dict[str, float]:
    """Write the page in a process of its own: seconds, processor seconds and peak memory, MB."""
    done = subprocess.run(
        [sys.executable, "-c", _WRITE, str(store), str(page)],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def use(page: Path) -> dict[str, float] | None:
    """Open the page in headless Chromium: seconds to usable, to sorted, to searched, heap."""
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    if browser_path is None:
        return None
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=browser_path, args=arguments)
        tab = browser.new_page()
        start = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="commit")
        tab.wait_for_selector("#rates .number")
        seen = time.perf_counter() - start
        tab.wait_for_selector("html[data-ready]")
        usable = time.perf_counter() - start
        start = time.perf_counter()
        tab.click("button[data-sort=probability]")
        tab.wait_for_selector("th[aria-sort=ascending]")
        ordered = time.perf_counter() - start
        start = time.perf_counter()
        tab.fill("#search", "no such words")
        tab.wait_for_selector("#count >> text=/^0 of/")
        searched = time.perf_counter() - start
        heap = tab.evaluate("performance.memory.usedJSHeapSize") / 2**20
        browser.close()
    return {
        "seen_s": seen,
        "usable_s": usable,
        "sort_s": ordered,
        "search_s": searched,
        "heap_mb": heap,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=80_000)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for rows in (options.rows // 10, options.rows):
            store, page = Path(folder) / f"{rows}.db", Path(folder) / f"{rows}.html"
            make_store(store, rows)
            figures = {"rows": rows, **write(store, page), "page_mb": page.stat().st_size / 2**20}
            found.append({**figures, **(use(page) or {})})
    if options.json:
        print(json.dumps({"report_html": found}))
        return
    names = list(found[0])
    print("  ".join(f"{name:>9}" for name in names))
    for row in found:
        print(
            "  ".join(
                f"{row[name]:9.4g}" if name != "rows" else f"{row[name]:9d}" for name in names
            )
        )


if __name__ == "__main__":
    main()
