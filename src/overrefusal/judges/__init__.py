"""Judges: what a response does."""
