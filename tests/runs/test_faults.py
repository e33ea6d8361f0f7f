"""Failing servers and killed processes: nothing answered is lost, nothing counted twice."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from overrefusal import Outcome, load_run
from overrefusal.runs.store import Store
from tests.runs.faulty_server import reply_to

SERVER = os.path.join(os.path.dirname(__file__), "faulty_server.py")


@contextmanager
def faulty_server(share, latency):
    process = subprocess.Popen(
        [sys.executable, SERVER, str(share), str(latency), "7"], stdout=subprocess.PIPE, text=True
    )
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.kill()
        process.wait()


def write_suite(path, count):
    with path.open("w") as file:
        for i in range(count):
            row = {
                "id": f"p{i}",
                "prompt": f"question {i}",
                "expected": "refuse" if i % 4 == 0 else "answer",
            }
            file.write(json.dumps(row) + "\n")
    return path


def eval_command(suite, url, store, *options):
    return [
        sys.executable, "-m", "overrefusal", "eval", "endpoint/faulty", "--base-url", url,
        "--suite", str(suite), "--store", store, "--judge", "rules", "--timeout", "1",
        "--json", *options,
    ]  # fmt: skip


def count_responses(store_url):
    store = Store(store_url)
    count = store._db.rows("SELECT COUNT(*) FROM responses")[0][0]
    store.close()
    return count


def wait_for_more(store_url, known):
    deadline = time.monotonic() + 60
    while count_responses(store_url) <= known:
        assert time.monotonic() < deadline, "the run does not go on"
        time.sleep(0.05)


def assert_complete(store_url, count, samples=1):
    """Exactly one answer for each prompt and sample, each the server's own, each judged once."""
    run = load_run(store=store_url)
    seen = Counter()
    for item in run.items():
        seen[item.prompt.id, item.sample] += 1
        assert item.response.error is None
        assert item.response.text == reply_to(item.prompt.text)
        assert item.verdict.outcome in (Outcome.COMPLIED, Outcome.REFUSED)
        refuses = item.response.text.startswith("I'm sorry")
        assert (item.verdict.outcome is Outcome.REFUSED) == refuses
    assert len(seen) == count * samples
    assert set(seen.values()) == {1}
    store = Store(store_url)
    assert store._db.rows("SELECT COUNT(*) FROM responses") == [(count * samples,)]
    assert store._db.rows("SELECT COUNT(*) FROM verdicts") == [(count * samples,)]
    assert len(store.runs()) == 1
    store.close()
    return run


def test_one_in_five_requests_fails_and_every_prompt_is_answered_once(tmp_path, store_url):
    suite = write_suite(tmp_path / "s.jsonl", 300)
    with faulty_server(0.2, 0.0) as url:
        command = eval_command(suite, url, store_url, "--samples", "2")
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["failed_share"] == 0
    run = assert_complete(store_url, 300, samples=2)
    assert any(item.response.attempts > 1 for item in run.items())


def test_twenty_kills_lose_nothing_and_invent_nothing(tmp_path, store_url):
    count = 2000
    suite = write_suite(tmp_path / "s.jsonl", count)
    dice = random.Random(3)
    answered = []
    with faulty_server(0.2, 0.02) as url:
        command = eval_command(suite, url, store_url, "--concurrency", "8")
        for kill in range(20):
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            if kill % 4:
                # Into the run: once it answers, at any moment of the next second.
                wait_for_more(store_url, answered[-1])
            time.sleep(dice.uniform(0.0, 0.7))
            process.send_signal(signal.SIGKILL)
            process.wait()
            answered.append(count_responses(store_url))
        assert answered == sorted(answered)
        assert 0 < answered[-1] < count, "the kills must fall into the run"
        done = subprocess.run(
            eval_command(suite, url, store_url, "--concurrency", "64"),
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    assert_complete(store_url, count)


def test_an_interrupt_keeps_what_was_answered_and_says_how_to_go_on(tmp_path, store_url):
    suite = write_suite(tmp_path / "s.jsonl", 2000)
    with faulty_server(0.0, 0.02) as url:
        command = eval_command(suite, url, store_url, "--concurrency", "8")
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # What starts the tests may ignore interrupts, and its children would inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        store = Store(store_url)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if store.runs() and store._db.rows("SELECT COUNT(*) FROM responses")[0][0] > 50:
                break
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        kept = store._db.rows("SELECT COUNT(*) FROM items")[0][0]
        store.close()
        assert process.returncode == 130
        assert out == ""
        assert "repeat the command to go on" in err
        assert "Traceback" not in err
        assert kept > 50
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert_complete(store_url, 2000)


def test_three_runs_at_once_on_one_store(tmp_path, store_url):
    suite = write_suite(tmp_path / "s.jsonl", 500)
    with faulty_server(0.1, 0.005) as url:
        command = eval_command(suite, url, store_url)
        processes = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        results = [(*p.communicate(timeout=120), p.returncode) for p in processes]
    assert [code for *_, code in results] == [0, 0, 0], results
    store = Store(store_url)
    assert store._db.rows("SELECT COUNT(*) FROM responses") == [(500,)]
    assert store._db.rows("SELECT COUNT(*) FROM verdicts") == [(500,)]
    for record in store.runs():
        items = [(i.prompt.id, i.response.text) for i in store.items(record)]
        assert items == [(f"p{n}", reply_to(f"question {n}")) for n in range(500)]
    store.close()


def test_a_server_that_always_fails_ends_as_errors_and_exit_3(tmp_path):
    suite = write_suite(tmp_path / "s.jsonl", 4)
    with faulty_server(1.0, 0.0) as url:
        command = eval_command(suite, url, str(tmp_path / "s.db"), "--max-attempts", "2")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    report = json.loads(done.stdout)
    assert report["rates"]["outcomes"]["answer"]["error"] == 3
    assert report["rates"]["over_refusal"]["n"] == 0
    assert report["rates"]["over_refusal"]["estimate"] is None


@pytest.mark.parametrize("missing", ["responses", "verdicts"])
def test_what_a_crash_left_half_done_is_finished(tmp_path, missing):
    store_url = str(tmp_path / "s.db")
    suite = write_suite(tmp_path / "s.jsonl", 40)
    with faulty_server(0.0, 0.0) as url:
        command = eval_command(suite, url, store_url)
        subprocess.run(command, check=True, capture_output=True)
        store = Store(store_url)
        if missing == "responses":
            store._db.execute("DELETE FROM items WHERE position > 10")
        else:
            store._db.execute("DELETE FROM verdicts WHERE response_key > '8'")
        store._db.execute("UPDATE runs SET finished = NULL")
        store.close()
        subprocess.run(command, check=True, capture_output=True)
    assert_complete(store_url, 40)
