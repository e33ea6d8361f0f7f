"""Pictures of the report of the demo, for the README and the site: light and dark.

    python docs/_tools/pictures.py [FOLDER]    # where `make demo` left its report; else it is run

Needs Chromium and playwright. The picture is the top of the page: both rates and the plane.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "docs" / "assets"
SCHEMES = ("light", "dark")
WIDTH = 1180
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")


def take(report: Path, folder: Path) -> list[Path]:
    """Writes ``report-light.png`` and ``report-dark.png``, the page down to the end of the plane.

    Raises ``FileNotFoundError`` where there is no Chromium.
    """
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        raise FileNotFoundError("Chromium is not installed; it takes the pictures")
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=list(ARGUMENTS))
        try:
            for scheme in SCHEMES:
                tab = browser.new_page(
                    viewport={"width": WIDTH, "height": 900},
                    color_scheme=scheme,
                    reduced_motion="reduce",
                )
                tab.goto(report.resolve().as_uri())
                tab.wait_for_selector("html[data-ready]")
                end = tab.evaluate(
                    "document.querySelector('#plane').getBoundingClientRect().bottom"
                )
                path = folder / f"report-{scheme}.png"
                tab.screenshot(
                    path=path,
                    full_page=True,
                    clip={"x": 0, "y": 0, "width": WIDTH, "height": round(end) + 24},
                )
                taken.append(path)
        finally:
            browser.close()
    return taken


def main(arguments: list[str]) -> int:
    """Takes the pictures of a demo's report; returns the exit code."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(arguments[0]) if arguments else Path(made)
        if not arguments:
            demo = [sys.executable, str(ROOT / "examples" / "demo.py"), str(folder)]
            subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
        for path in take(folder / "report.html", ASSETS):
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1024} KB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
