"""Suites: labelled prompts, read, checked and hashed; the catalogue; the bundled starter."""

from overrefusal.suites.suite import BUNDLED, Suite, load_suite, suite_of

__all__ = ["BUNDLED", "Suite", "load_suite", "suite_of"]
