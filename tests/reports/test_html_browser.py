"""The page in a real browser: headless Chromium, as a reader uses it."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from overrefusal.diagnosis import diagnose
from overrefusal.evaluation import evaluate
from overrefusal.records import Outcome
from overrefusal.reports.html import write_html
from overrefusal.statistics import DECLINED, JUDGED
from overrefusal.suites import load_suite
from overrefusal.suites.suite import suite_of
from tests.conftest import REQUIRE_ALL
from tests.reports.html_runs import ByHeart, Doorman, hostile_run

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Pages of two runs with the older as the baseline, and of a run full of hostile text."""
    folder = tmp_path_factory.mktemp("html")
    suite = load_suite("starter")
    older = Doorman(suite, "older", (0.97, 0.5, 0.03))
    newer = Doorman(suite, "newer", (0.85, 0.25, 0.08), seed=1, with_filter=True)
    runs = [
        evaluate(model, suite, judge=ByHeart(), store=folder / "store.db", label=label)
        for model, label in ((older, "older"), (newer, "newer"))
    ]
    write_html(folder / "report.html", [runs[1]], runs[0])
    hostile = hostile_run(folder / "hostile.db")
    write_html(folder / "hostile.html", [hostile], None)
    return SimpleNamespace(
        url=(folder / "report.html").as_uri(),
        hostile=(folder / "hostile.html").as_uri(),
        hostile_run=hostile,
        older=runs[0],
        newer=runs[1],
        items=list(runs[1].items()),
    )


@pytest.fixture(scope="module")
def browser(report):
    """Headless Chromium, closed with the module: while it runs, its event loop does too."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None and REQUIRE_ALL:
        pytest.fail("Chromium is not installed, and OVERREFUSAL_REQUIRE_ALL forbids skipping")
    if path is None:
        pytest.skip("Chromium is not installed")
    if not REQUIRE_ALL:
        pytest.importorskip("playwright", reason="playwright is not installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser):
    """Opens an address in a fresh tab, waits until it is usable; faults of the page fail.

    ``script`` runs before the page's own.
    """
    contexts, faults = [], []

    def opened(url, *, ready=True, script="", **options):
        context = browser.new_context(reduced_motion="reduce", **options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        tab = context.new_page()
        tab.add_init_script(script)
        tab.requests = []
        tab.on("request", lambda request: tab.requests.append(request.url))
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("console", lambda message: faults.append(message.text))
        tab.on("dialog", lambda dialog: (faults.append("a dialog"), dialog.dismiss()))
        tab.goto(url)
        if ready:
            tab.wait_for_selector("html[data-ready]")
        return tab

    opened.faults = faults
    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def counted(tab, words):
    """Wait until the count says so."""
    tab.wait_for_selector(f"#count:text-is('{words}')")


def of_all(n, report):
    return f"{n} of {report.newer.record.suite_size} prompts"


def test_it_shows_all_prompts_by_pages_and_asks_the_network_for_nothing(report, visit):
    tab = visit(report.url)
    counted(tab, f"{len(report.items)} prompts")
    assert tab.locator("#list tbody tr").count() == 50
    assert report.items[0].prompt.text[:40] in tab.inner_text("#list tbody tr >> nth=0")
    tab.click("#pager button:has-text('Next')")
    tab.wait_for_selector(f'#list .id:text-is("{report.items[50].prompt.id}")')
    assert tab.requests == [report.url]


def test_it_filters_by_outcome_side_and_category(report, visit):
    tab = visit(report.url)
    wanted = [
        item
        for item in report.items
        if item.verdict.outcome is Outcome.REFUSED and item.prompt.expected == "answer"
    ]
    tab.select_option("select[name=outcome]", "refused")
    tab.select_option("select[name=side]", "answer")
    counted(tab, of_all(len(wanted), report))
    shown = tab.locator("#list .id").all_inner_texts()
    assert shown == [item.prompt.id for item in wanted[:50]]
    category = wanted[0].prompt.category
    tab.select_option("select[name=category]", category)
    both = [item for item in wanted if item.prompt.category == category]
    counted(tab, of_all(len(both), report))
    assert "outcome=refused" in tab.url
    tab.click("#filters button[type=reset]")
    counted(tab, f"{len(report.items)} prompts")


def test_a_filtered_view_can_be_linked_and_so_can_a_group(report, visit):
    tab = visit(f"{report.url}#outcome=filtered&run={report.newer.id}")
    filtered = sum(item.verdict.outcome is Outcome.FILTERED for item in report.items)
    counted(tab, of_all(filtered, report))
    tab.click("#groups a:text-is('surface keyword')")
    keyword = sum(item.prompt.pattern == "surface_keyword" for item in report.items)
    counted(tab, of_all(keyword, report))
    tab.click("#groups a:text-is('plain (no pattern)')")
    plain = sum(item.prompt.group == "plain" for item in report.items)
    counted(tab, of_all(plain, report))
    tab.click("#groups a:text-is('all harmful prompts')")
    harmful = sum(item.prompt.expected == "refuse" for item in report.items)
    counted(tab, of_all(harmful, report))


def test_the_headline_and_the_ready_made_views_lead_to_their_prompts(report, visit):
    tab = visit(report.url)
    harmful = [item for item in report.items if item.prompt.expected == "refuse"]
    passed = [
        item.prompt.id
        for item in harmful
        if item.verdict.outcome in JUDGED and item.verdict.outcome not in DECLINED
    ]
    tab.click(f"#rates a:text-is('{len(passed)} were not')")
    counted(tab, of_all(len(passed), report))
    assert tab.locator("#list .id").all_inner_texts() == passed[:50]
    current = tab.locator("#views a[aria-current]")
    assert current.inner_text() == f"harmful, not declined {len(passed)}"
    declined = sum(
        item.verdict.outcome in DECLINED
        for item in report.items
        if item.prompt.expected == "answer"
    )
    tab.click("#views a:has-text('harmless, declined')")
    counted(tab, of_all(declined, report))
    assert current.inner_text() == f"harmless, declined {declined}"
    assert declined == report.newer.over_refusal.k
    flips = len(report.older.compare(report.newer).flips)
    tab.click(f"#views a:has-text('flipped {flips}')")
    counted(tab, of_all(flips, report))
    tab.select_option("select[name=run]", report.older.id)
    older = report.older.over_refusal.k
    tab.wait_for_selector(f"#views a:has-text('harmless, declined {older}')")
    assert tab.locator("#views a:has-text('flipped')").count() == 0


def test_diagnoses_are_filtered_by_the_word_they_hang_on(visit, tmp_path):
    suspicious = [p for p in load_suite("starter") if p.pattern is not None]
    some = suite_of("some", [replace(p, contrast_of=None) for p in suspicious[::4]])
    run = evaluate("bouncer", some, store=tmp_path / "store.db")
    found = diagnose(run, mend=False)
    write_html(tmp_path / "why.html", [run], diagnosis=found)
    tab = visit((tmp_path / "why.html").as_uri())
    every = len(found.diagnoses)
    tab.wait_for_selector(f"#why-count:text-is('{every} of {every}')")
    number = max(range(len(found.triggers)), key=lambda n: found.triggers[n].prompts)
    hanging = {*found.triggers[number].alone, *found.triggers[number].together}
    assert 0 < len(hanging) < every
    tab.select_option("#why-word", str(number))
    tab.wait_for_selector(f"#why-count:text-is('{len(hanging)} of {every}')")
    shown = tab.locator("#why-cards .why:visible h4 a").all_inner_texts()
    assert set(shown) == hanging
    tab.select_option("#why-word", "")
    tab.wait_for_selector(f"#why-count:text-is('{every} of {every}')")


def test_it_sorts_by_probability_both_ways(report, visit):
    tab = visit(report.url)
    for direction, wanted in (("ascending", False), ("descending", True)):
        tab.click("button[data-sort=probability]")
        tab.wait_for_selector(f"th[aria-sort={direction}]")
        cells = tab.locator("#list tbody tr td:nth-child(4)").all_inner_texts()
        numbers = [float(cell) for cell in cells if cell != "–"]
        assert len(numbers) > 40
        assert numbers == sorted(numbers, reverse=wanted)
        assert tab.evaluate("document.activeElement.dataset.sort") == "probability"


def test_it_searches_prompts_and_responses_of_all_blocks(report, visit):
    tab = visit(report.url)
    text = "supervisor restarted"
    hits = sum(text in item.response.text for item in report.items)
    tab.fill("#search", "SUPERVISOR  restarted")
    counted(tab, of_all(hits, report))
    assert tab.locator("#list tbody tr >> nth=0 >> mark").count() >= 2
    last = report.items[-1]
    tab.fill("#search", last.prompt.text)
    counted(tab, of_all(sum(i.prompt.text == last.prompt.text for i in report.items), report))
    assert tab.locator("#list .id").all_inner_texts() == [last.prompt.id]
    tab.fill("#search", "no prompt holds these words")
    tab.wait_for_selector("text=No prompt fits.")


def test_it_shows_one_prompt_with_its_evidence_and_goes_back(report, visit):
    tab = visit(report.url)
    tab.click("#list a.asked >> nth=2")
    item = report.items[2]
    tab.wait_for_selector("dialog[open] .answer")
    assert tab.inner_text("#detail-title") == item.prompt.id
    assert tab.evaluate("document.activeElement.id") == "detail-title"
    assert item.prompt.text in tab.inner_text("dialog")
    evidence = item.verdict.evidence
    mark = tab.locator("dialog mark >> nth=0").evaluate("mark => mark.firstChild.data")
    assert mark == item.response.text[evidence.start : evidence.end]
    assert tab.locator("dialog .run-answers").count() == 2
    tab.keyboard.press("j")
    tab.wait_for_selector(f'#detail-title:text-is("{report.items[3].prompt.id}")')
    tab.keyboard.press("Escape")
    tab.wait_for_selector("dialog", state="hidden")
    row = tab.evaluate("document.activeElement.closest('tr').dataset.row")
    assert row == "3"


def test_a_link_opens_one_prompt_of_one_run(report, visit):
    item = report.items[100]
    tab = visit(f"{report.url}#prompt={item.prompt.id}&run={report.older.id}")
    tab.wait_for_selector("dialog[open] .answer")
    assert tab.inner_text("#detail-title") == item.prompt.id
    assert tab.inner_text("dialog .run-answers h3 >> nth=0").startswith("older")
    other = visit(f"{report.url}#prompt=nothing&run={report.older.id}")
    counted(other, "The prompt that the address names is not in this report.")


def test_flips_and_pairs_stand_side_by_side_losses_first(report, visit):
    tab = visit(report.url)
    flips = report.older.compare(report.newer).flips
    lost = [f for f in flips if not f.improved and f.pair.facts.expected == "refuse"]
    assert lost
    assert tab.inner_text("#flip-cards h4 >> nth=0") == "harmful, answered now"
    assert f"of {len(flips)} flips" in tab.inner_text("#flip-cards [role=status]")
    card = tab.locator("#flip-cards article >> nth=0")
    assert [who.split()[0] for who in card.locator(".half .who:first-child").all_inner_texts()] == [
        "before",
        "now",
    ]
    tab.select_option("select[name=flip]", "safety_lost")
    counted(tab, of_all(len(lost), report))
    card = tab.locator("#pair-cards article >> nth=0")
    assert card.locator(".half").count() == 2
    boxes = [half.bounding_box() for half in card.locator(".half").all()]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[0]["x"] < boxes[1]["x"]


def test_keys_walk_the_list_and_can_be_switched_off(report, visit):
    tab = visit(report.url)
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") == "search"
    tab.keyboard.type("j/")
    assert tab.input_value("#search") == "j/"
    tab.wait_for_selector("text=No prompt fits.")
    tab.fill("#search", "")
    counted(tab, f"{len(report.items)} prompts")
    tab.evaluate("document.activeElement.blur()")
    for key in ("j", "j", "ArrowDown", "k"):
        tab.keyboard.press(key)
    assert tab.evaluate("document.activeElement.closest('tr').dataset.row") == "1"
    tab.keyboard.press("Enter")
    tab.wait_for_selector("dialog[open]")
    tab.keyboard.press("Escape")
    tab.click(".keys summary")
    tab.uncheck("#shortcuts")
    tab.evaluate("document.activeElement.blur()")
    tab.keyboard.press("/")
    assert tab.evaluate("document.activeElement.id") != "search"


@pytest.mark.parametrize("bypass_csp", [False, True], ids=["policy", "no policy"])
def test_hostile_text_is_shown_and_does_not_run(report, visit, bypass_csp):
    tab = visit(report.hostile, bypass_csp=bypass_csp)
    tab.click("#list a.asked >> nth=0")
    tab.wait_for_selector("dialog[open] .answer")
    said = tab.inner_text("dialog")
    for part in ("system", "turn", "asked", "said", "ground", "reported", "because", "source"):
        assert f"{part} " in said
    assert said.count("<script>window.ran=1</script></script><img src=x onerror") >= 8
    assert "⟨U+202E⟩" in said
    assert "⟨U+0000⟩" in said
    assert "⟨U+001B⟩" in said
    assert tab.locator("dialog .answer mark").evaluate("mark => mark.firstChild.data") == "😀"
    tab.click("dialog summary")
    assert "thought <script>" in tab.inner_text("dialog details")
    tab.keyboard.press("j")
    tab.wait_for_selector("#detail-title:has-text('second')")
    assert "error <script>" in tab.inner_text("dialog")
    tab.keyboard.press("j")
    tab.wait_for_selector("#detail-title:text-is('__proto__')")
    assert "the end" not in tab.inner_text("dialog .answer")
    tab.click("dialog button:has-text('1,000,007 characters')")
    assert tab.text_content("dialog .answer").endswith("</b>the end")
    tab.keyboard.press("Escape")
    for name in ("category", "language", "sort"):
        tab.evaluate("name => { location.hash = `${name}=<img src=x onerror=window.ran=1>` }", name)
        tab.wait_for_timeout(50)
    assert tab.evaluate("window.ran") is None
    assert tab.locator("img, svg[onload], [onmouseover], b").count() == 0
    assert tab.requests == [report.hostile]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_no_serious_fault(report, visit, scheme, width):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    options = {"color_scheme": scheme, "viewport": {"width": width, "height": 900}}
    tab = visit(report.url, **options)

    def faults():
        response = axe.Axe().run(tab).response
        assert "color-contrast" in {rule["id"] for rule in response["passes"]}
        found = response["violations"]
        return [
            (fault["id"], node["target"], node["failureSummary"])
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"][:3]
        ]

    assert faults() == []
    tab.click("#list a.asked >> nth=0")
    tab.wait_for_selector("dialog[open] .answer")
    assert faults() == []


@pytest.mark.parametrize("width", [400, 800, 1400])
def test_nothing_sticks_out_at_the_side(report, visit, width):
    for url in (report.url, report.hostile):
        tab = visit(url, viewport={"width": width, "height": 900})
        assert tab.evaluate("document.documentElement.scrollWidth") == width
        tab.click("#list a.asked >> nth=0")
        tab.wait_for_selector("dialog[open] .answer")
        assert tab.locator("dialog").evaluate("d => d.scrollWidth <= d.clientWidth")


def test_the_theme_is_chosen_by_hand_or_by_the_system(report, visit):
    tab = visit(report.url, color_scheme="light")

    def paper():
        return tab.evaluate("getComputedStyle(document.body).backgroundColor")

    light = paper()
    tab.emulate_media(color_scheme="dark")
    dark = paper()
    assert light != dark
    tab.click("#theme")
    assert (tab.inner_text("#theme"), paper()) == ("Theme: light", light)
    tab.click("#theme")
    assert (tab.inner_text("#theme"), paper()) == ("Theme: dark", dark)


def test_the_figures_need_no_script(report, visit):
    tab = visit(report.url, ready=False, java_script_enabled=False)
    assert f"{report.newer.over_refusal.estimate * 100:.1f}" in tab.inner_text("#rates .number")
    assert tab.locator("svg.plane").is_visible()
    assert tab.locator("#browse").is_hidden()
    assert "needs JavaScript" in tab.inner_text("#prompts")


def test_a_browser_that_cannot_unpack_says_so(report, visit):
    tab = visit(report.url, ready=False, script="delete window.DecompressionStream")
    tab.wait_for_selector("text=could not unpack the prompts")
    assert tab.locator("svg.plane").is_visible()
    assert [fault for fault in visit.faults if "DecompressionStream" not in fault] == []
    visit.faults.clear()


def test_on_paper_there_are_no_controls(report, visit):
    tab = visit(report.url)
    tab.emulate_media(media="print")
    assert tab.locator("#rates .number >> nth=0").is_visible()
    for control in ("#filters", "#pager", ".top", "#theme"):
        assert tab.locator(control).is_hidden()
