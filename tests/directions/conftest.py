"""Bouncer as a subject, with a small extraction and a direction selected from it."""

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

import orjson

from overrefusal.bouncer import suite as bouncer_suite
from overrefusal.directions.choose import choose
from overrefusal.directions.extract import Plan, extract
from overrefusal.directions.files import provenance_of
from overrefusal.directions.select import Limits
from overrefusal.directions.subject import open_subject
from overrefusal.judges.rules import RulesJudge
from overrefusal.suites import load_suite
from overrefusal.suites.rows import to_row

PLAN = Plan(train=40, validation=12)
LOOSE = Limits(max_kl=100.0, min_induction=-100.0)
"""A quarter of the usual prompts selects a direction whatever its scores."""


def write_suite(path, prompts):
    path.write_bytes(b"\n".join(orjson.dumps(to_row(p)) for p in prompts))
    return path


@pytest.fixture(scope="session")
def subject():
    return open_subject("bouncer")


@pytest.fixture(scope="session")
def suite_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite")
    return write_suite(folder / "train.jsonl", bouncer_suite("train", 1440, 5))


@pytest.fixture(scope="session")
def suite(suite_file):
    return load_suite(suite_file)


@pytest.fixture(scope="session")
def extraction(subject, suite):
    return extract(subject, suite, RulesJudge(), PLAN)


@pytest.fixture(scope="session")
def provenance(subject, suite, suite_file):
    return provenance_of("bouncer", subject, str(suite_file), suite, "rules/1", PLAN)


@pytest.fixture(scope="session")
def direction_file(subject, suite, extraction, provenance):
    return choose(subject, suite, extraction, provenance, limits=LOOSE, every_score=True)
