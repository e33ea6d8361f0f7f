"""See how often a model refuses what it should answer, see why, fix it, and prove the fix."""

__version__ = "0.1.0"
