"""Which judge a spec names."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from overrefusal.errors import OverrefusalError
from overrefusal.judges.protocol import Judge

if TYPE_CHECKING:
    from overrefusal.judges.llm import Asked

KNOWN = (
    "rules",
    "labels:COLUMN",
    "labels:COLUMN?LABEL=OUTCOME,...",
    "llm:MODEL",
    "llm:MODEL?rubric=or-bench",
    "local",
    "cascade:local,llm:MODEL",
)
"""How the judges that come with the package are written."""


def get_judge(spec: str, open_model: Callable[[str], Asked] | None = None) -> Judge:
    """The judge that ``spec`` names; ``open_model`` opens the models that judges ask.

    Raises ``OverrefusalError`` for a spec that names none.
    """
    kind, _, rest = spec.partition(":")
    if spec == "rules":
        from overrefusal.judges.rules import RulesJudge

        return RulesJudge()
    if kind == "labels":
        from overrefusal.judges.labels import LabelsJudge

        return LabelsJudge.from_spec(rest)
    if kind == "llm":
        from overrefusal.judges.llm import LlmJudge, parse_spec

        model, rubric = parse_spec(rest)
        if open_model is None:
            raise OverrefusalError(f"judge {spec!r}: no models can be opened here")
        return LlmJudge(open_model(model), rubric)
    if spec == "local" and (local := _class("local", "LocalJudge")):
        return local()
    if kind == "cascade" and (cascade := _class("cascade", "CascadeJudge")):
        first, _, second = rest.partition(",")
        if not (first and second):
            raise OverrefusalError(
                f"judge {spec!r}: a cascade needs two judges, as in cascade:local,llm:MODEL"
            )
        return cascade(get_judge(first, open_model), get_judge(second, open_model))
    raise OverrefusalError(f"unknown judge {spec!r}; write one of: {', '.join(KNOWN)}")


def _class(module: str, name: str) -> Callable[..., Judge] | None:
    """A judge's class, ``None`` where the package was built without it."""
    try:
        found = import_module(f"overrefusal.judges.{module}")
    except ModuleNotFoundError as error:
        if error.name != f"overrefusal.judges.{module}":
            raise
        return None
    return getattr(found, name, None)
