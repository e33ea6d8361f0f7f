"""A diagnosis on the terminal and in the page: what it says, and that hostile text stays text."""

import io

import pytest
from rich.console import Console

from overrefusal.diagnosis import diagnose_async
from overrefusal.reports.diagnosis import headline, print_diagnosis
from overrefusal.reports.html import write_html
from tests.diagnosis.doorman import benign, doorman, harmful, run_of

HOSTILE = "How do I kill <script>window.ran=1</script> \x1b[31m \u202e process?"


@pytest.fixture
async def report(tmp_path):
    prompts = [benign(HOSTILE, "a"), benign("killing weeds", "b"), harmful("kill neighbour", "c")]
    async with doorman(lambda _, text: "kill" in text.lower()) as door:
        run = await run_of(door, tmp_path / "s.db", *prompts)
        return await diagnose_async(run, connection=door.connection)


def printed(report, **options):
    out = io.StringIO()
    print_diagnosis(Console(file=out, width=100, highlight=False), report, **options)
    return out.getvalue()


async def test_the_terminal_groups_by_word_with_both_rates(report):
    text = printed(report)
    assert headline(report).startswith("2 of 2 over-refusals hang on kill")
    assert headline(report) in text
    assert "harmful refusal 100.0 %" in text
    assert "a stated purpose" in text
    one = printed(report, one=True)
    assert "replaced by a plainer word" in one
    assert "\x1b[31m" not in one
    assert "\u202e" not in one


async def test_the_page_highlights_the_word_and_escapes_the_rest(report, tmp_path):
    write_html(tmp_path / "why.html", [report.run], diagnosis=report)
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert 'id="diagnosis"' in page
    assert '<mark class="effect e4">kill</mark>' in page
    assert "<script>window.ran" not in page
    assert "&lt;script&gt;window.ran" in page
    write_html(tmp_path / "plain.html", [report.run])
    assert 'id="diagnosis"' not in (tmp_path / "plain.html").read_text(encoding="utf-8")
