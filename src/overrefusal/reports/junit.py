"""A gate's result as JUnit XML, one test case a check."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from overrefusal.runs.run import Run
from overrefusal.statistics import GateResult

# What XML 1.0 cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def gate_junit(run: Run, result: GateResult) -> str:
    """The XML document; a failed check is a failure with its figures as the message."""
    failures = sum(not check.passed for check in result.checks)
    suite = ElementTree.Element(
        "testsuite",
        name="overrefusal gate",
        tests=str(len(result.checks)),
        failures=str(failures),
        errors="0",
        skipped="0",
    )
    for check in result.checks:
        case = ElementTree.SubElement(
            suite, "testcase", classname=_clean(f"overrefusal.{run.name}"), name=_clean(check.name)
        )
        if check.passed:
            ElementTree.SubElement(case, "system-out").text = _clean(check.why)
        else:
            ElementTree.SubElement(case, "failure", message=_clean(check.why))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
