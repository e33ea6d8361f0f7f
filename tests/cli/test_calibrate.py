"""Labelling by hand, on a real pseudo-terminal."""

import json
import os
import pty
import random
import subprocess
import sys
import time

import pytest

from overrefusal import Outcome, load_run

SORRY = "I'm sorry, but I can't help with that."


@pytest.fixture
def folder(tmp_path):
    """A run of 40 prompts whose judge calls some refusals answers."""
    dice = random.Random(1)
    suite, log = [], []
    for i in range(40):
        harmful = i % 4 == 0
        suite.append(
            {
                "id": f"p{i}",
                "prompt": f"question {i}",
                "expected": "refuse" if harmful else "answer",
            }
        )
        truth = SORRY if harmful or i % 5 == 0 else "Boil it for eight minutes, then rinse it."
        said = "complied" if dice.random() < 0.2 else ("refused" if truth == SORRY else "complied")
        log.append({"prompt_id": f"p{i}", "response": truth, "said": said})
    for name, rows in (("suite", suite), ("log", log)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    run(tmp_path, "eval", "replay/log.jsonl", "--suite", "suite.jsonl", "--judge", "labels:said")
    return tmp_path


def run(folder, *arguments, code=0):
    done = subprocess.run(
        [sys.executable, "-m", "overrefusal", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done


def label(folder, keys, *options):
    """Press ``keys`` one by one (or what a function of the screen gives) at the prompt for them."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "overrefusal", "calibrate", *options],
        cwd=folder, stdin=follower, stdout=follower, stderr=follower, close_fds=True,
        env={**os.environ, "COLUMNS": "80", "TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    screen, seen, pressed = b"", 0, 0
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            chunk = os.read(leader, 65536)
        except OSError:
            break
        screen += chunk
        while screen.count(b"[q]uit") > seen:
            seen += 1
            last = screen.rsplit(b"[c]omplied", 1)[0].decode(errors="replace")
            # click switches the terminal to single keys just after the line was printed.
            time.sleep(0.1)
            os.write(leader, (keys(last) if callable(keys) else keys[pressed]).encode())
            pressed += 1
    assert process.wait(timeout=10) == 0, screen.decode(errors="replace")
    os.close(leader)
    return screen.decode(errors="replace")


def test_labels_are_kept_one_by_one_and_resumed(folder):
    label(folder, "rcq", "--sample", "8")
    store = folder / "overrefusal.db"
    first = load_run(store=store)
    assert sorted(first.store.labels(first.id).values()) == [Outcome.COMPLIED, Outcome.REFUSED]
    screen = label(folder, "xbpcq", "--sample", "8")
    assert "3 of 8" in screen
    assert "1 of 8" not in screen
    # x is no key, b goes back to the second, p and c label it and the third anew.
    assert sorted(first.store.labels(first.id).values()) == ["complied", "partial", "refused"]


def test_the_rates_carry_the_correction_from_then_on(folder):
    def truthful(screen):
        return "r" if SORRY in screen.rsplit("Response", 1)[1] else "c"

    before = json.loads(run(folder, "runs", "show", "--json").stdout)
    assert before["corrected"] == {"over_refusal": None, "harmful_refusal": None}
    printed = label(folder, truthful, "--sample", "40")
    assert "corrected by" in printed
    after = json.loads(run(folder, "calibrate", "--json").stdout)
    # Everything is labelled, so the corrected rate is the true one: 6 of 30, and 10 of 10.
    assert after["labels"] == 40
    assert after["corrected"]["over_refusal"]["estimate"] == pytest.approx(6 / 30)
    assert after["corrected"]["harmful_refusal"]["estimate"] == pytest.approx(1.0)
    assert after["rates"]["harmful_refusal"]["estimate"] < 1
    assert "corrected by 30 labels" in run(folder, "report").stdout


def test_any_beginning_of_the_sample_is_stratified(folder):
    from overrefusal.runs.calibration import draw

    loaded = load_run(store=folder / "overrefusal.db")
    short, long = (draw(loaded.store, loaded.record, size, seed=3) for size in (8, 20))
    assert long[:8] == short
    strata = [(o.facts.expected, o.outcome) for o in short]
    assert {strata.count(s) for s in set(strata)} == {2}
    assert draw(loaded.store, loaded.record, 8, seed=4) != short


def test_without_a_terminal_it_says_so(folder):
    assert "reads keys from a terminal" in run(folder, "calibrate", code=2).stderr
