"""The page as a file: what it says without a browser, and that no text in it can act."""

import json
import re
import shlex
import subprocess
import zlib
from base64 import b64decode
from html import unescape
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from overrefusal import (
    Expected,
    Message,
    OverrefusalError,
    Pattern,
    Prompt,
    Response,
    Verdict,
    suite_of,
)
from overrefusal.cli import group
from overrefusal.evaluation import evaluate
from overrefusal.records import Evidence, Outcome
from overrefusal.reports.html import write_html
from overrefusal.reports.html.blocks import block
from overrefusal.reports.html.reproduce import command_of, judge_spec
from overrefusal.runs.run import Run
from overrefusal.runs.store import Store
from overrefusal.statistics import DECLINED, JUDGED
from overrefusal.suites import load_suite
from tests.reports.html_runs import HOSTILE, ByHeart, Doorman, hostile_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A baseline and a newer version, in one store."""
    store = tmp_path_factory.mktemp("runs") / "store.db"
    suite = load_suite("starter")
    older = Doorman(suite, "older", (0.97, 0.5, 0.03))
    newer = Doorman(suite, "newer", (0.85, 0.25, 0.08), seed=1, with_filter=True)
    return [
        evaluate(model, suite, judge=ByHeart(), store=store, label=label)
        for model, label in ((older, "older"), (newer, "newer"))
    ]


def packed(page, name):
    """The decoded blocks of a class."""
    found = re.findall(rf'<script type="text/plain" class="{name}">([^<]*)</script>', page)
    return [json.loads(zlib.decompress(b64decode(text))) for text in found]


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of the page outside of scripts."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text += data


def test_the_page_says_both_rates_with_intervals(runs, tmp_path):
    write_html(tmp_path / "r.html", runs[1:])
    text = Elements((tmp_path / "r.html").read_text("utf-8")).text.replace("\xa0", " ")
    for rate in (runs[1].over_refusal, runs[1].harmful_refusal):
        assert f"{rate.estimate * 100:.1f} %" in text
        assert f"[{rate.low * 100:.1f}, {rate.high * 100:.1f}]" in text
    assert runs[1].record.suite_hash in text
    assert "No baseline was given" in text


def test_the_first_sentence_says_how_both_sides_moved(runs, tmp_path):
    older, newer = runs
    write_html(tmp_path / "r.html", [newer], older)
    text = Elements((tmp_path / "r.html").read_text("utf-8")).text
    comparison = older.compare(newer)
    over, harm = comparison.over_refusal, comparison.harmful_refusal
    assert over.high < 0
    assert harm.low < 0 < harm.high
    moved, lost, low, high = (
        f"{share * 100:+.1f}" for share in (over.difference, harm.difference, harm.low, harm.high)
    )
    assert (
        f"Against older, it declines less of what it should answer ({moved} points) and shows no "
        f"clear change in what it should refuse ({lost} points, anything from {low} to {high})."
    ) in text
    low, high = (round(bound * 100) for bound in newer.over_refusal.interval)
    assert f"that it should answer, it declines {low} to {high};" in text
    passed = newer.harmful_refusal.n - newer.harmful_refusal.k
    assert f"prompts that should be refused. {passed} were not." in text


def test_more_is_said_of_either_side(runs, tmp_path):
    older, newer = runs
    write_html(tmp_path / "r.html", [older], newer)
    text = Elements((tmp_path / "r.html").read_text("utf-8")).text
    moved = f"{-older.compare(newer).over_refusal.difference * 100:+.1f}"
    assert f"it declines more of what it should answer ({moved} points)" in text


def test_each_pattern_stands_beside_the_harmful_refusal_of_its_twins(runs, tmp_path):
    run = runs[1]
    write_html(tmp_path / "r.html", [run])
    page = (tmp_path / "r.html").read_text("utf-8").replace("\xa0", " ")
    items = {item.prompt.id: item for item in run.items()}
    for pattern, name in ((Pattern.SURFACE_KEYWORD, "surface keyword"), (Pattern.DUAL_USE, "dual")):
        twins = {
            item.prompt.contrast_of
            for item in items.values()
            if item.prompt.pattern is pattern and item.prompt.contrast_of
        }
        judged = [items[twin] for twin in twins if items[twin].verdict.outcome in JUDGED]
        declined = sum(item.verdict.outcome in DECLINED for item in judged)
        assert 20 < len(judged) < 60
        row = re.search(rf"<tr><th[^>]*><a[^>]*>{name}.*?</tr>", page)[0]
        shown = re.findall(r">([\d.]+) %<.*?n = (\d+)<", row)
        assert shown[1] == (f"{100 * declined / len(judged):.1f}", str(len(judged)))


def test_every_prompt_and_response_is_in_the_blocks(runs, tmp_path):
    write_html(tmp_path / "r.html", runs)
    page = (tmp_path / "r.html").read_text("utf-8")
    rows = [row for rows in packed(page, "rows") for row in rows]
    assert [row["id"] for row in rows] == [item.prompt.id for item in runs[0].items()]
    for number, run in enumerate(runs):
        for row, item in zip(rows, run.items(), strict=True):
            (sample,) = row["runs"][str(number)]
            assert sample["outcome"] == item.verdict.outcome
            assert sample.get("text", "") == item.response.text
            assert sample.get("error") == item.response.error
            assert row["turns"][-1][1] == item.prompt.text


def test_flips_against_the_baseline_are_those_of_the_comparison(runs, tmp_path):
    older, newer = runs
    write_html(tmp_path / "r.html", [older, newer], older)
    page = (tmp_path / "r.html").read_text("utf-8")
    (index,) = packed(page, "index")
    assert [(run["id"], run["baseline"]) for run in index["runs"]] == [
        (newer.id, False),
        (older.id, True),
    ]
    comparison = older.compare(newer)
    kinds = {
        index["ids"][row]: index["flip_kinds"][int(mark)]
        for row, mark in enumerate(index["flips"][0])
        if mark != "."
    }
    assert kinds.keys() == {flip.pair.prompt_id for flip in comparison.flips}
    assert {flip.pair.prompt_id for flip in comparison.flips if not flip.improved} == {
        prompt for prompt, kind in kinds.items() if kind in ("safety_lost", "refusal_new")
    }
    assert {"safety_lost", "refusal_new", "refusal_mended"} <= set(kinds.values())
    assert set(index["flips"][1]) == {"."}
    text = Elements(page).text
    said = re.findall(r"\d+ (harm\w+) prompts? (answered|declined) now", text)
    assert said[:3] == [("harmful", "answered"), ("harmless", "declined"), ("harmless", "answered")]


def test_who_declined_counts_model_and_filter_apart(runs, tmp_path):
    write_html(tmp_path / "r.html", runs[1:])
    text = Elements((tmp_path / "r.html").read_text("utf-8")).text
    blocked = [i for i in runs[1].items() if i.verdict.outcome is Outcome.FILTERED]
    sides = [sum(i.prompt.expected is side for i in blocked) for side in Expected]
    assert len(blocked) > 2
    assert f"a filter on the input{sides[0]}{sides[1]}" in text


def test_hostile_text_makes_no_element_and_no_attribute(tmp_path):
    run = hostile_run(tmp_path / "h.db")
    write_html(tmp_path / "r.html", [run])
    page = (tmp_path / "r.html").read_bytes().decode("utf-8")
    elements = Elements(page)
    scripts = [attributes for tag, attributes in elements.tags if tag == "script"]
    assert [a.get("class") for a in scripts] == ["index", "rows", None]
    assert not [1 for _, attributes in elements.tags for name in attributes if name[:2] == "on"]
    assert not [1 for tag, _ in elements.tags if tag in ("img", "b", "iframe", "object", "base")]
    for _, attributes in elements.tags:
        for name in ("href", "src", "action"):
            assert attributes.get(name, "#")[:1] == "#" or attributes[name] == "data:,"
        assert "style" not in attributes
    # Shown, not lost; and what would act in a terminal or turn the line around is not there.
    assert "<script>window.ran=1</script>" in elements.text
    assert not re.search("[\x00\x1b\u202e\u2066]", page)


def test_the_page_forbids_itself_the_network(runs, tmp_path):
    write_html(tmp_path / "r.html", runs)
    page = (tmp_path / "r.html").read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"(?:https?:)?//[a-z]", Elements(page).text)


@given(st.recursive(st.text() | st.integers(-9, 9), lambda inner: st.lists(inner, max_size=4)))
def test_a_block_gives_back_what_was_put_in_and_holds_no_markup(value):
    written = block("rows", value).decode("ascii")
    assert packed(written, "rows") == [value]
    assert written.count("<") == 2


def test_several_samples_and_an_unfinished_run(tmp_path):
    suite = suite_of(
        "small",
        [
            Prompt("a", (Message("user", "one"),), Expected.ANSWER),
            Prompt("b", (Message("user", "two"),), Expected.REFUSE),
            Prompt("c", (Message("user", "three"),), Expected.REFUSE),
        ],
    )
    store = Store(str(tmp_path / "s.db"))
    store.save_suite(suite)
    run, _ = store.begin_run(
        fingerprint="f", suite=suite, judge="j", variant={"model": "m"}, samples=3
    )
    store.add_answers(run.id, [(0, i, f"a{i}", Response(text="no")) for i in range(3)])
    store.add_answers(run.id, [(2, 1, "c1", Response(text="no"))])
    verdict = Verdict(Outcome.REFUSED, 1.0, evidence=Evidence(0, 2, "declines"))
    store.add_verdicts("j", [("a0", verdict), ("a1", verdict), ("c1", verdict)])
    store.add_verdicts("j", [("a2", Verdict(Outcome.COMPLIED, 0.1))])
    write_html(tmp_path / "r.html", [Run(store, store.run(run.id))])
    page = (tmp_path / "r.html").read_text("utf-8")
    (index,) = packed(page, "index")
    assert (index["ids"], index["outcomes"], index["probabilities"]) == (
        ["a", "c"],
        ["rrc-r-"],
        [[70, 100]],
    )
    assert "unfinished" in Elements(page).text


def test_runs_of_a_suite_and_of_its_part_keep_their_own_rows(tmp_path):
    store = tmp_path / "s.db"
    judge = ByHeart()
    made = []
    for limit in (None, 40):
        suite = load_suite("starter", limit=limit)
        model = Doorman(suite, f"m{limit}", (0.9, 0.1 if limit else 0.6, 0.0))
        made.append(evaluate(model, suite, judge=judge, store=store))
    write_html(tmp_path / "r.html", [made[1]], made[0])
    (index,) = packed((tmp_path / "r.html").read_text("utf-8"), "index")
    flips = made[0].compare(made[1]).flips
    assert flips
    marked = [index["ids"][row] for row, mark in enumerate(index["flips"][0]) if mark != "."]
    assert sorted(marked) == sorted(flip.pair.prompt_id for flip in flips)
    assert len(index["ids"]) == 40 + made[0].record.suite_size
    # Rates of different suites share no Pareto front, and the table says which is which.
    text = Elements((tmp_path / "r.html").read_text("utf-8")).text
    assert "starter[:40], by-heart/1" in text
    assert "★" not in text


def test_a_run_in_which_nothing_was_answered_yet(tmp_path):
    suite = suite_of("s", [Prompt("a", (Message("user", "x"),), Expected.ANSWER)])
    store = Store(str(tmp_path / "s.db"))
    store.save_suite(suite)
    run, _ = store.begin_run(
        fingerprint="f", suite=suite, judge="j", variant={"model": "bouncer:strict"}, samples=1
    )
    write_html(tmp_path / "r.html", [Run(store, run)])
    page = (tmp_path / "r.html").read_text("utf-8")
    assert packed(page, "rows") == []
    text = Elements(page).text
    assert "No run has both rates" in text
    assert "Bouncer is a test subject" in text


def test_rates_corrected_by_people_stand_beside_the_judged_ones(tmp_path):
    suite = load_suite("starter", limit=60)
    run = evaluate(
        Doorman(suite, "m", (0.9, 0.5, 0.1)), suite, judge=ByHeart(), store=tmp_path / "s.db"
    )
    write_html(tmp_path / "before.html", [run])
    before = Elements((tmp_path / "before.html").read_text("utf-8")).text
    assert f"overrefusal calibrate {run.id}" in before
    for position, item in enumerate(run.items()):
        if item.prompt.expected is Expected.ANSWER:
            run.store.add_label(run.id, position, 0, Outcome.COMPLIED)
    run = Run(run.store, run.record)
    write_html(tmp_path / "after.html", [run])
    after = Elements((tmp_path / "after.html").read_text("utf-8")).text.replace("\xa0", " ")
    estimate = f"{run.corrected.over_refusal.estimate * 100:.1f} %"
    assert f"labels of people: {estimate}" in after
    assert after.count("labels of people") == 2


def test_the_command_that_reproduces_is_safe_to_paste(tmp_path):
    words = command_of(hostile_run(tmp_path / "h.db"))
    assert shlex.split(words)[:3] == ["overrefusal", "eval", "model " + HOSTILE]


@pytest.mark.parametrize(
    "system", ["Answer plainly.", "Two lines,\nit's 100 % ours; $HOME `id`.\n", "a\n\n"]
)
def test_the_command_writes_the_system_prompt_first(tmp_path, system):
    suite = load_suite("starter", limit=2)
    model = Doorman(suite, "m", (1, 0, 0))
    run = evaluate(model, suite, judge=ByHeart(), store=tmp_path / "s.db", system=system)
    write_html(tmp_path / "r.html", [run])
    page = (tmp_path / "r.html").read_text("utf-8")
    shown = unescape(re.search(r'reproduce"><code>(.*?)</code>', page, re.DOTALL)[1])
    assert shown == command_of(run)
    script = 'overrefusal() { echo "$@"; }\n' + shown
    said = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (tmp_path / f"system-{run.id}.txt").read_text() == system
    assert said.stdout.startswith("eval doorman/m --suite starter --limit 2 --system system-")


def test_a_system_prompt_that_cannot_be_shown_whole_is_left_to_a_file(tmp_path):
    suite = load_suite("starter", limit=2)
    for number, system in enumerate(("unseen\u200b", "two  spaces", "x" * 4001)):
        model = Doorman(suite, f"m{number}", (1, 0, 0))
        run = evaluate(model, suite, judge=ByHeart(), store=tmp_path / "s.db", system=system)
        assert "--system SYSTEM_PROMPT_FILE" in command_of(run)
        assert "\n" not in command_of(run)


def test_what_all_runs_share_is_said_once(runs, tmp_path):
    write_html(tmp_path / "r.html", runs)
    text = Elements((tmp_path / "r.html").read_text("utf-8")).text
    assert text.count(runs[0].record.suite_hash) == 1
    assert text.count("doorman/older") > 0
    assert text.count("doorman/newer") > 0


def test_the_command_names_what_was_chosen(tmp_path):
    suite = load_suite("starter", language="de", limit=3)
    model = Doorman(suite, "m", (1, 0, 0))
    run = evaluate(model, suite, judge=ByHeart(), store=tmp_path / "s.db", samples=2)
    assert command_of(run) == (
        "overrefusal eval doorman/m --suite starter --language de --limit 3 --temperature 0.0 "
        "--samples 2 --judge by-heart"
    )


@pytest.mark.parametrize(
    ("identity", "spec"),
    [
        ("rules/1", "rules"),
        ("local/3", "local"),
        ("labels/1:said?1=complied", "labels:said?1=complied"),
        ("llm/1:xstest/2:endpoint/m@http://127.0.0.1:1/v1", "llm:endpoint/m?rubric=xstest"),
        (
            "cascade(local/3,llm/1:or-bench/1:openai/gpt,0.200-0.800)",
            "cascade:local,llm:openai/gpt?rubric=or-bench",
        ),
    ],
)
def test_a_judge_is_named_as_its_option_is_written(identity, spec):
    assert judge_spec(identity) == spec


def test_what_cannot_be_written_is_one_line_and_leaves_nothing(runs, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OverrefusalError, match=r"file/r\.html: cannot be written: ") as caught:
        write_html(tmp_path / "file" / "r.html", runs)
    assert "\n" not in str(caught.value)
    (tmp_path / "r.html").mkdir()
    with pytest.raises(OverrefusalError, match="cannot be written"):
        write_html(tmp_path / "r.html", runs)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "r.html"]


def test_a_baseline_of_another_suite_leaves_the_old_page_alone(runs, tmp_path):
    suite = suite_of("other", [Prompt("a", (Message("user", "x"),), Expected.ANSWER)])
    model = Doorman(suite, "m", (1, 0, 0))
    other = evaluate(model, suite, judge=ByHeart(), store=tmp_path / "s.db")
    page = tmp_path / "r.html"
    page.write_text("the old page")
    with pytest.raises(OverrefusalError, match="not comparable"):
        write_html(page, runs, other)
    assert page.read_text() == "the old page"
    assert [path.name for path in tmp_path.glob(".*html*")] == []


def test_the_command_line_writes_the_page(runs, tmp_path):
    store = runs[0].store.url
    page = tmp_path / "new" / "r.html"
    words = ["report", "newer", "--html", str(page), "--baseline", "older", "--store", store]
    result = CliRunner().invoke(group, words)
    assert (result.exit_code, result.stdout) == (0, "")
    assert f"wrote {page}" in result.stderr
    assert "What flipped" in page.read_text("utf-8")
    result = CliRunner().invoke(group, ["report", "newer", "--baseline", "older", "--store", store])
    assert isinstance(result.exception, OverrefusalError)
    assert "--baseline needs --html" in str(result.exception)
