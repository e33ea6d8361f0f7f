"""See how often a model refuses what it should answer, see why, fix it, and prove the fix.

import overrefusal as orf

run = orf.evaluate("openai/gpt-4o-mini", suite="starter")
print(run.over_refusal.rate, run.over_refusal.interval)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from overrefusal.diagnosis.diagnose import diagnose, diagnose_async
    from overrefusal.errors import OverrefusalError
    from overrefusal.evaluation import (
        Connection,
        compare,
        evaluate,
        evaluate_async,
        load_run,
        rejudge,
        rejudge_async,
    )
    from overrefusal.models.local.options import LocalOptions
    from overrefusal.records import (
        Actor,
        Expected,
        Message,
        Outcome,
        Pattern,
        Prompt,
        Response,
        Sampling,
        Verdict,
    )
    from overrefusal.runs.run import Run
    from overrefusal.suites.suite import Suite, load_suite, suite_of

# Loaded when first used, so that importing the package costs nothing.
_HOMES = {
    "OverrefusalError": "errors",
    "LocalOptions": "models.local.options",
    **dict.fromkeys(("diagnose", "diagnose_async"), "diagnosis.diagnose"),
    **dict.fromkeys(
        (
            "Connection",
            "compare",
            "evaluate",
            "evaluate_async",
            "load_run",
            "rejudge",
            "rejudge_async",
        ),
        "evaluation",
    ),
    **dict.fromkeys(
        (
            "Actor",
            "Expected",
            "Message",
            "Outcome",
            "Pattern",
            "Prompt",
            "Response",
            "Sampling",
            "Verdict",
        ),
        "records",
    ),
    "Run": "runs.run",
    **dict.fromkeys(("Suite", "load_suite", "suite_of"), "suites.suite"),
}

__all__ = [
    "Actor",
    "Connection",
    "Expected",
    "LocalOptions",
    "Message",
    "Outcome",
    "OverrefusalError",
    "Pattern",
    "Prompt",
    "Response",
    "Run",
    "Sampling",
    "Suite",
    "Verdict",
    "compare",
    "diagnose",
    "diagnose_async",
    "evaluate",
    "evaluate_async",
    "load_run",
    "load_suite",
    "rejudge",
    "rejudge_async",
    "suite_of",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
