"""Bouncer, the bundled over-refusing model: a test subject, no product.

A Llama of about a million parameters, trained from scratch by this package on text of its own
grammar. Like the doorman who turns away a chef for his knives, it refuses on surface words.
"""

from overrefusal.bouncer.grammar import suite

__all__ = ["suite"]
