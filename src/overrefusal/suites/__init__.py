"""Suites: labelled prompts, read, checked and hashed; the catalogue; the bundled starter."""
