"""The docs do what they say: their commands run, their outputs are today's, the site builds."""

import importlib.util
import os
import re
import shutil
import struct
import subprocess
import sys
from html import unescape
from pathlib import Path

import click
import pytest

import overrefusal
from overrefusal.cli import COMMANDS, group
from overrefusal.judges.registry import KNOWN
from overrefusal.models.registry import KINDS
from overrefusal.models.signals import ACTORS
from overrefusal.records import Actor, Expected, Outcome, Pattern
from overrefusal.reports.html import write_html
from overrefusal.statistics import Thresholds
from overrefusal.suites.catalogue import CATALOGUE
from overrefusal.suites.rows import FIELDS
from tests.conftest import REQUIRE_ALL
from tests.reports.made_runs import made_run, prompt

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TOOLS = DOCS / "_tools"
sys.path.insert(0, str(TOOLS))

import commands  # noqa: E402
import pages  # noqa: E402
import pictures  # noqa: E402
import standin  # noqa: E402

PAGES = pages.pages()
SITE = [page for page in PAGES if page != pages.README]
page_name = pages.page_name
RUNNABLE = [p for p in PAGES if pages.steps(p)]


def text(page):
    return (DOCS / page).read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def address():
    with standin.serve() as served:
        yield served


@pytest.mark.parametrize("path", RUNNABLE, ids=page_name)
def test_every_command_of_a_page_runs_and_its_output_is_the_one_shown(path, address, tmp_path):
    outputs, left_out = commands.run_page(path, address, tmp_path)
    for step, said in outputs:
        if step.shown is not None:
            assert commands.same(step.shown, said), (
                f"{step.page}:{step.line}: `{step.text}` now prints\n{said}\n"
                "run: python docs/_tools/commands.py --write"
            )
    if left_out and not outputs:
        pytest.skip("; ".join(left_out))


def test_what_cannot_run_offline_is_installation_and_one_download():
    shown = {step.text for path in PAGES for step in pages.steps(path) if step.kind == "command"}
    assert set(commands.NOT_RUN) <= shown
    others = [c for c in commands.NOT_RUN if not c.startswith("pip install ")]
    assert others == ["make test", "overrefusal suite fetch xstest"]


def test_no_page_hides_commands_from_the_test():
    for path in PAGES:
        fences = re.findall(r"^ *```(\w*)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert "sh" not in fences, page_name(path)
        assert "shell" not in fences, page_name(path)
        known = {"", "bash", "console", "python", "yaml", "json", "toml", "text"}
        assert set(fences) <= known, page_name(path)


def test_the_runner_sees_a_wrong_exit_code_and_a_changed_output(address, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "DOCS", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo one\ntwo\n```\n")
    [(step, said)], _ = commands.run_page(page, address, _new(tmp_path / "a"))
    assert said == "one\n"
    assert not commands.same(step.shown, said)
    page.write_text("```bash\nfalse\n```\n")
    with pytest.raises(commands.PageError, match=r"page\.md:1: exit 1, not 0: false"):
        commands.run_page(page, address, _new(tmp_path / "b"))
    page.write_text("```python\nraise SystemExit(3)\n```\n")
    with pytest.raises(commands.PageError, match="exit 3, not 0"):
        commands.run_page(page, address, _new(tmp_path / "c"))


def _new(folder):
    folder.mkdir()
    return folder


def _options():
    """The options of each command, by its words."""
    found = {}
    for name in COMMANDS:
        command = group.get_command(click.Context(group), name)
        children = command.commands if isinstance(command, click.Group) else {}
        for words, each in {
            (name,): command,
            **{(name, c): k for c, k in children.items()},
        }.items():
            found[words] = {o for p in each.params for o in [*p.opts, *p.secondary_opts]}
    return found


def test_commands_named_in_a_sentence_exist_with_their_options():
    options = _options()
    every = set().union(*options.values()) | {"--help", "--version"}
    for path in PAGES:
        prose = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        for span in re.findall(r"`([^`\n]+)`", prose):
            words = span.split()
            if words[0] == "overrefusal" and words[1:] and not words[1].startswith("--"):
                assert (words[1],) in options, (page_name(path), span)
            for word in words:
                if word.startswith("--"):
                    assert word.split("=")[0].rstrip(",") in every, (page_name(path), span)


def test_the_tables_leave_nothing_out():
    outcomes = text("outcomes.md")
    for name in (*Outcome, *Actor, *ACTORS):
        assert f"`{name}`" in outcomes or f" {name}`" in outcomes, name
    suites = text("suites.md")
    for name in (*FIELDS, *Pattern):
        assert f"`{name}`" in suites, name
    started = text("get-started/api-model.md") + text("get-started/local-model.md")
    for kind in KINDS.keys() - {"bouncer"}:
        assert f"`{kind}/" in started, kind
    for option in _options()["eval",] - {"--json", "--store", "--judge", "--suite", "--language"}:
        assert option in started, option
    gate = text("get-started/ci.md")
    for name in (*Thresholds.__slots__, "baseline"):
        assert f"`{name}`" in gate, name


def test_every_judge_that_the_package_can_open_is_described():
    judging = text("judging.md")
    for spec in KNOWN:
        kind = spec.partition(":")[0]
        built = kind in ("rules", "labels", "llm") or importlib.util.find_spec(
            f"overrefusal.judges.{kind}"
        )
        assert f"`{kind}" in judging or not built, kind


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    for module in () if REQUIRE_ALL else ("material", "mkdocstrings"):
        pytest.importorskip(module, reason=f"{module}, which builds the site, is not installed")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


def test_the_site_builds_without_a_warning_and_asks_no_other_host(site):
    built = sorted(site.rglob("*.html"))
    assert {p.relative_to(site).with_suffix(".md").as_posix() for p in built} >= {
        page_name(p) for p in SITE
    }
    loads = re.compile(
        r"<(?:script|img|iframe)[^>]+src=\"?(?:https?:)?//"
        r"|<link[^>]+rel=\"?(?:stylesheet|preconnect|preload|icon)[^>]+href=\"?(?:https?:)?//"
    )
    for path in built:
        assert not loads.search(path.read_text(encoding="utf-8")), path
    assert not list(site.rglob("*.py"))


def test_the_references_are_made_from_the_code(site):
    cli = unescape((site / "reference/cli.html").read_text(encoding="utf-8"))
    for words, options in _options().items():
        assert f"<code>overrefusal {' '.join(words)}</code>" in cli
        for option in options:
            assert option in cli or not option.startswith("--"), option
    python = (site / "reference/python.html").read_text(encoding="utf-8")
    for name in overrefusal.__all__:
        assert name in python, name
    catalogue = unescape((site / "suites.html").read_text(encoding="utf-8"))
    for entry in CATALOGUE.values():
        assert f"<code>{entry.name}</code>" in catalogue
        assert entry.title in catalogue


def test_pages_fit_a_narrow_screen_in_a_browser_and_load_nothing_from_outside(site):
    if not REQUIRE_ALL:
        pytest.importorskip("playwright", reason="playwright is not installed")
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None and not REQUIRE_ALL:
        pytest.skip("Chromium is not installed")
    from playwright import sync_api

    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        try:
            page = browser.new_page(viewport={"width": 400, "height": 800})
            asked = []
            page.on("request", lambda request: asked.append(request.url))
            for path in SITE:
                page.goto(f"file://{site / path.relative_to(DOCS).with_suffix('.html')}")
                wide = page.evaluate("document.documentElement.scrollWidth > window.innerWidth")
                assert not wide, page_name(path)
        finally:
            browser.close()
    assert [url for url in asked if url.startswith("http")] == []


def test_the_pictures_of_the_report_are_made_by_their_script(tmp_path):
    for scheme in pictures.SCHEMES:
        committed = (DOCS / "assets" / f"report-{scheme}.png").read_bytes()
        assert committed[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(committed) < 400_000
        assert f"report-{scheme}.png" in pages.README.read_text(encoding="utf-8")
    if not REQUIRE_ALL:
        pytest.importorskip("playwright", reason="playwright is not installed")
        if not any(map(shutil.which, pictures.BROWSERS)):
            pytest.skip("Chromium is not installed")
    run = made_run(
        tmp_path, {prompt("a"): Outcome.REFUSED, prompt("h", Expected.REFUSE): Outcome.REFUSED}
    )
    write_html(tmp_path / "report.html", [run])
    light, dark = (path.read_bytes() for path in pictures.take(tmp_path / "report.html", tmp_path))
    for picture in (light, dark):
        width, height = struct.unpack(">II", picture[16:24])
        assert width == pictures.WIDTH
        assert height > 800
    assert light != dark
