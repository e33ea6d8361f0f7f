"""Bouncer, the bundled over-refusing model: a test subject, no product.

A Llama of about a million parameters, trained from scratch by this package on text of its own
grammar. Like the doorman who turns away a chef for his knives, it refuses on surface words.
"""

import os

from overrefusal.bouncer.grammar import suite

__all__ = ["suite"]

# Read when numpy is first imported. The matrices here are small: where cores are shared, several
# threads of OpenBLAS wait for one another ten times longer than they work.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
