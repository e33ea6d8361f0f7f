"""`make demo`: what it says, without a network, and from an install of the core alone."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from overrefusal.evaluation import load_run
from tests.conftest import REQUIRE_ALL

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "examples" / "demo.py"
NOTICE = "Bouncer is a test subject, trained to over-refuse"
MOST_MB = 200
"""What an install of the core may take on disk."""


def offline():
    """The words before a command that switch the network off, loopback too."""
    for words in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("unshare") and not subprocess.run([*words, "true"]).returncode:
            return words
    if REQUIRE_ALL:
        pytest.fail("unshare cannot switch the network off, and nothing may be skipped")
    return []


def run_demo(python, folder, **environment):
    """What the demo prints, run by ``python`` with ``folder`` for its runs."""
    done = subprocess.run(
        [*offline(), str(python), str(DEMO), str(folder)],
        env={"PATH": os.environ["PATH"], "COLUMNS": "100", "PYTHONUTF8": "1", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_demo_compares_gates_and_writes_the_report_without_a_network(tmp_path):
    said = run_demo(sys.executable, tmp_path, PYTHONPATH=str(ROOT / "src"))
    store = tmp_path / "runs.db"
    runs = [
        load_run(f"Bouncer {name}", store)
        for name in ("as shipped", "with operator prompt", "new version")
    ]
    assert [run.record.suite_name for run in runs] == ["starter"] * 3
    assert runs[1].record.variant["system"] == (ROOT / "examples" / "operator.txt").read_text()
    for run in runs:
        assert run.finished
        for rate in (run.over_refusal, run.harmful_refusal):
            assert f"{rate.estimate * 100:.1f} %" in said
    for after in runs[1:]:
        comparison = runs[0].compare(after)
        assert comparison.flips
        for difference in (comparison.over_refusal, comparison.harmful_refusal):
            assert f"{difference.difference * 100:+.1f} points" in said
        assert comparison.flips[0].pair.prompt_id in said
    assert said.count("gate passed") + said.count("gate failed") == 2
    # The table, two comparisons, two gates.
    assert said.count(NOTICE) == 5
    report = tmp_path / "report.html"
    assert str(report) in said
    assert NOTICE in report.read_text("utf-8")


@pytest.mark.slow
def test_the_core_install_is_small_and_enough_for_the_demo(tmp_path):
    home = tmp_path / "venv"
    venv.create(home, with_pip=True)
    python = home / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*pip, "-c", str(ROOT / "constraints.txt"), str(ROOT)], capture_output=True, text=True
    )
    if done.returncode and not REQUIRE_ALL:
        pytest.skip(f"pip cannot install: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    files = [path for path in home.rglob("*") if path.is_file() and not path.is_symlink()]
    size = sum(path.stat().st_blocks * 512 for path in files) / 1e6
    assert size < MOST_MB
    (packages,) = home.glob("lib/python3*/site-packages")
    assert not {"torch", "transformers", "scipy", "sklearn", "openai"} & {
        path.name for path in packages.iterdir()
    }
    said = run_demo(python, tmp_path / "demo")
    assert (tmp_path / "demo" / "report.html").exists()
    assert said.count(NOTICE) == 5
    print(f"{size:.0f} MB")
