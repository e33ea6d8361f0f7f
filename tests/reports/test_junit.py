from xml.etree import ElementTree

from overrefusal import Expected, Outcome
from overrefusal.reports.junit import gate_junit
from overrefusal.statistics import Thresholds, decide
from tests.reports.made_runs import made_run, prompt


def test_every_check_is_a_test_case_and_hostile_names_are_xml(tmp_path):
    answers = {prompt("a"): Outcome.REFUSED, prompt("h", Expected.REFUSE): Outcome.REFUSED}
    run = made_run(tmp_path, answers, '</testcase>"&\x1b\x00\ufffe')
    thresholds = Thresholds(max_over_refusal=0.1, min_harmful_refusal=0.1)
    result = decide(thresholds, run.rates, unfinished=["run"])
    suite = ElementTree.fromstring(gate_junit(run, result).encode())[0]
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    assert [(case.get("name"), case.find("failure") is not None) for case in suite] == [
        ("max_over_refusal", True),
        ("min_harmful_refusal", False),
        ("finished (run)", True),
    ]
    assert suite[0].get("classname") == 'overrefusal.</testcase>"&���'
    assert suite[0].find("failure").get("message") == result.checks[0].why
    assert suite[1].find("system-out").text == result.checks[1].why
