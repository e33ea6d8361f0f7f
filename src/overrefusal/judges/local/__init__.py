"""The local judge: a trained model of a few megabytes, its weights in the package."""

from overrefusal.judges.local.judge import LocalJudge

__all__ = ["LocalJudge"]
