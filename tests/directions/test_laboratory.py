"""The laboratory's tables are two-sided, and its pictures and page hold what it found."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from overrefusal.bouncer import suite as bouncer_suite  # noqa: E402
from overrefusal.directions.choose import choose  # noqa: E402
from overrefusal.directions.extract import draw  # noqa: E402
from overrefusal.directions.laboratory import run, sample  # noqa: E402
from overrefusal.directions.pictures import mean_of  # noqa: E402
from overrefusal.directions.plots import KINDS, plot  # noqa: E402
from overrefusal.errors import OverrefusalError  # noqa: E402
from overrefusal.judges.rules import RulesJudge  # noqa: E402
from overrefusal.records import Group  # noqa: E402
from overrefusal.reports.html.laboratory import laboratory_page  # noqa: E402
from overrefusal.suites import suite_of  # noqa: E402


@pytest.fixture(scope="module")
def found(subject, direction_file):
    held = suite_of("held", bouncer_suite("heldout", 180, 3))
    steps = []
    laboratory = run(
        subject, direction_file, held, RulesJudge(), limit=6, n_random=2, max_tokens=24,
        on_step=steps.append,
    )  # fmt: skip
    assert steps[0] == "unedited"
    return laboratory


def test_every_row_has_both_sides_with_intervals(found):
    names = [row.name for row in found.rows]
    assert names[:3] == ["unedited", "ablation", "addition"]
    assert {"stated purpose", "operator prompt"} <= set(names)
    for row in [*found.rows, found.control.ablation, found.control.addition]:
        for rate in (row.sides.over_refusal, row.sides.harmful_refusal, row.sides.plain_refusal):
            assert rate.n > 0
            assert 0 <= rate.low <= rate.estimate <= rate.high <= 1
    assert found.row("unedited").change is None
    assert found.row("ablation").change.harmful_refusal.n_prompts == 24
    assert found.control.ablation.sides.harmful_refusal.n == 2 * 24
    assert found.control.ablation.sides.harmful_refusal.n_prompts == 24


def test_every_language_and_pattern_is_there(found):
    assert set(found.row("addition").languages) == {"en", "de", "es", "fr"}
    assert set(found.transfer) == {"de", "es", "fr"}
    groups = [p.group for p in found.projections]
    assert (groups[0], groups[-1]) == ("harmful", "plain")
    by_group = {p.group: p.projection.mean for p in found.projections}
    assert by_group["harmful"] > 0.5 > by_group["plain"]
    assert {(s.framing, s.group) for s in found.shifts} == {
        (f, g.value) for f in ("stated purpose", "operator prompt") for g in Group
    }


def test_the_json_has_every_figure_and_no_prompt(found):
    plain = found.to_dict()
    assert plain["rows"][1]["sides"]["harmful_refusal"]["n"] == 24
    assert "flips" not in plain["rows"][1]["change"]


def test_prompts_that_made_the_direction_are_left_out(suite, direction_file):
    plan = direction_file.provenance.plan
    used = {p.id for part in draw(suite, plan) for p in part}
    kept = sample(suite, direction_file, 1000, 0)
    assert kept
    assert not used & {p.id for p in kept}


def test_a_suite_of_one_class_is_an_error(direction_file):
    plain = [p for p in bouncer_suite("heldout", 60, 3) if p.group is not Group.HARMFUL]
    with pytest.raises(
        OverrefusalError, match="no harmful prompts left in suite half: it has none"
    ):
        sample(suite_of("half", plain), direction_file, 10, 0)


@pytest.mark.parametrize("what", [k for k in KINDS if k != "categories"])
def test_pictures_are_svg_with_axes_n_and_both_themes(direction_file, what):
    text = plot(direction_file, what)
    ElementTree.fromstring(text)
    assert "prefers-color-scheme: dark" in text
    assert re.search(r"n = \d+|In brackets: n", text)
    assert "NaN" not in text.replace("nan", "NaN")


def test_a_picture_whose_figures_are_not_there_is_an_error(direction_file):
    # A quarter of the usual prompts leaves no category with enough of them.
    with pytest.raises(OverrefusalError, match="no categories with enough prompts"):
        plot(direction_file, "categories")
    with pytest.raises(OverrefusalError, match="no figures to draw"):
        plot(replace(direction_file, pictures=None), "projections")


def test_names_in_pictures_cannot_break_out_of_them(direction_file):
    one = {"names": ["direction", "<script>"], "counts": [9, 9], "cosines": [[1, 0.5], [0.5, 1]]}
    pictures = direction_file.pictures | {"cosines": {"categories": one}}
    assert "<script" not in plot(replace(direction_file, pictures=pictures), "categories")


def test_the_page_is_whole_asks_for_nothing_and_has_both_sides(found, direction_file):
    page = laboratory_page(found, direction_file)
    assert "{{" not in page
    assert "<script" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page.replace("http://www.w3.org", ""))
    for table in re.findall(r"<table.*?</table>", page):
        assert "harmful" in table
    assert page.count("<svg") > 20
    evil = replace(found, suite="<img src=x onerror=alert(1)>")
    assert "<img" not in laboratory_page(evil, direction_file)


def test_cosmic_selects_without_refusal_tokens(subject, suite, extraction, provenance):
    blind = replace(extraction, tokens=None)
    with pytest.raises(OverrefusalError, match="select with --by cosmic"):
        choose(subject, suite, blind, provenance)
    file = choose(subject, suite, blind, provenance, by="cosmic")
    assert file.selection["by"] == "cosmic"
    assert file.selection["best"]["cosmic"] > 0
    assert "COSMIC score" in plot(file, "landscape")


def test_a_mean_has_the_interval_of_its_standard_error():
    found = mean_of([1.0, 2.0, 3.0, 4.0])
    assert found.mean == 2.5
    assert found.high - found.mean == pytest.approx(1.96 * 1.2910 / 2, abs=1e-3)
    assert mean_of([1.0]).low is None
