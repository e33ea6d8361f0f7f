"""Figures that the docs quote stand in the committed results."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_coverage_that_the_docs_quote_was_printed_by_the_benchmark():
    printed = (ROOT / "benchmarks/results/coverage.txt").read_text()
    lowest = dict(re.findall(r"^  (rate|clustered|paired|corrected) +([\d.]+%)", printed, re.M))
    assert len(lowest) == 4
    assert min(float(value[:-1]) for value in lowest.values()) >= 93.5
    page = (ROOT / "docs/statistics.md").read_text()
    for value in lowest.values():
        assert value.replace("%", " %") in page
