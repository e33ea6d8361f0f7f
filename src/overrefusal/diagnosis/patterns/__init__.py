"""The bundled classifier of patterns: which of the six kinds of over-refusal a prompt is."""

from overrefusal.diagnosis.patterns.model import classify

__all__ = ["classify"]
