"""Runs: the runner and the store it writes to."""
