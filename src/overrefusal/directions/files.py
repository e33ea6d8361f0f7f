"""Extractions and directions as safetensors files with their provenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson
from torch import Tensor

from overrefusal import __version__
from overrefusal.activations.positions import Position
from overrefusal.activations.record import Moments
from overrefusal.directions.direction import Direction
from overrefusal.directions.extract import Extraction, Plan
from overrefusal.directions.refusal_tokens import RefusalTokens
from overrefusal.directions.subject import Subject
from overrefusal.errors import OverrefusalError
from overrefusal.files import whole
from overrefusal.suites import Suite

FORMAT = 1
_KEY = "overrefusal"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a file's tensors come from."""

    model: str
    """The model's name as it was given."""
    identity: str
    """With the version of its weights and its precision."""
    layers: int
    width: int
    suite: str
    """The suite's name or file as it was given."""
    suite_hash: str
    judge: str
    plan: Plan
    version: str = __version__

    def check(self, subject: Subject, path: Path) -> None:
        """Raises ``OverrefusalError`` where ``subject`` is another model; precision may differ."""
        if (subject.layers, subject.structure.width) != (self.layers, self.width):
            raise OverrefusalError(
                f"{path}: its direction is of a model with {self.layers} layers of width "
                f"{self.width}; {subject.loaded.spec} has {subject.layers} of width "
                f"{subject.structure.width}"
            )
        if _weights(subject.loaded.identity) != _weights(self.identity):
            raise OverrefusalError(
                f"{path}: its direction is of {self.identity}, not of {subject.loaded.identity}; "
                "extract one from this model"
            )

    def check_suite(self, suite: Suite, path: Path) -> None:
        """Raises ``OverrefusalError`` where ``suite`` is not the one it was extracted with."""
        if suite.content_hash != self.suite_hash:
            raise OverrefusalError(
                f"{path}: was extracted with a suite of hash {self.suite_hash[:12]}, and "
                f"{suite.name} has {suite.content_hash[:12]}; name the same suite with --suite"
            )


@dataclass(frozen=True, slots=True, eq=False)
class DirectionFile:
    """A selected direction and what is known of it."""

    direction: Direction
    provenance: Provenance
    positions: tuple[Position, ...]
    selection: dict[str, Any]
    """How it was selected: ``by``, ``candidates`` with their scores, limits, baselines."""
    tokens: tuple[int, ...]
    false_refusal: Tensor | None = None
    """The false-refusal vector at the same layer and position, (width,)."""
    surgical: Tensor | None = None
    """It off the span of the harmful directions of each layer, (layers, width)."""
    strength: float = 1.0
    """The lambda of ``surgical``."""
    pictures: dict[str, Any] | None = None
    """Figures behind the plots: ``projections`` and ``cosines``."""

    @property
    def position(self) -> Position:
        """Where the direction was read."""
        return next(p for p in self.positions if p.name == self.direction.position)


def provenance_of(
    name: str, subject: Subject, suite: str, loaded_suite: Suite, judge: str, plan: Plan
) -> Provenance:
    """The provenance of what is extracted from ``subject``, opened by ``name``."""
    return Provenance(
        model=name,
        identity=subject.loaded.identity,
        layers=subject.layers,
        width=subject.structure.width,
        suite=suite,
        suite_hash=loaded_suite.content_hash,
        judge=judge,
        plan=plan,
    )


def save_extraction(
    path: Path, found: Extraction, provenance: Provenance, positions: tuple[Position, ...]
) -> None:
    """Write an extraction, whole or not at all."""
    _save(
        path,
        {"means": found.moments.means},
        {
            "kind": "extraction",
            "provenance": asdict(provenance),
            "positions": [asdict(p) for p in positions],
            "groups": found.moments.groups,
            "counts": found.moments.counts,
            "tokens": None if found.tokens is None else found.tokens.to_dict(),
            "validation": found.validation,
            "dropped": found.dropped,
        },
    )


def load_extraction(path: Path) -> tuple[Extraction, Provenance, tuple[Position, ...]]:
    """Read an extraction. Raises ``OverrefusalError`` where the file is none."""
    tensors, about = _load(path, "extraction", "overrefusal direction extract")
    tokens = about["tokens"]
    return (
        Extraction(
            Moments(tuple(about["groups"]), tuple(about["counts"]), tensors["means"]),
            None if tokens is None else RefusalTokens(**tokens | {"ids": tuple(tokens["ids"])}),
            {group: tuple(ids) for group, ids in about["validation"].items()},
            about["dropped"],
        ),
        _provenance(about),
        _positions(about),
    )


def save_direction(path: Path, file: DirectionFile) -> None:
    """Write a direction, whole or not at all."""
    direction = file.direction
    tensors = {
        "vector": direction.vector,
        "plain": direction.plain,
        "harmful": direction.harmful,
        "false_refusal": file.false_refusal,
        "surgical": file.surgical,
    }
    _save(
        path,
        {name: tensor for name, tensor in tensors.items() if tensor is not None},
        {
            "kind": "direction",
            "provenance": asdict(file.provenance),
            "positions": [asdict(p) for p in file.positions],
            "layer": direction.layer,
            "position": direction.position,
            "affine": direction.affine,
            "tokens": file.tokens,
            "selection": file.selection,
            "strength": file.strength,
            "pictures": file.pictures,
        },
    )


def load_direction(path: Path) -> DirectionFile:
    """Read a direction. Raises ``OverrefusalError`` where the file is none."""
    tensors, about = _load(path, "direction", "overrefusal direction select")
    return DirectionFile(
        direction=Direction(
            tensors["vector"],
            about["layer"],
            about["position"],
            tensors["plain"],
            tensors["harmful"],
            about["affine"],
        ),
        provenance=_provenance(about),
        positions=_positions(about),
        selection=about["selection"],
        tokens=tuple(about["tokens"]),
        false_refusal=tensors.get("false_refusal"),
        surgical=tensors.get("surgical"),
        strength=about["strength"],
        pictures=about["pictures"],
    )


def _save(path: Path, tensors: Mapping[str, Tensor], about: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    text = orjson.dumps(about | {"format": FORMAT}, option=orjson.OPT_SORT_KEYS).decode()
    with whole(path) as temporary:
        save_file({k: t.contiguous() for k, t in tensors.items()}, temporary, {_KEY: text})


def _load(path: Path, kind: str, command: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_KEY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise OverrefusalError(f"{path}: no such file; `{command}` writes one") from None
    except (OSError, SafetensorError) as error:
        raise OverrefusalError(f"{path}: not a safetensors file ({error})") from None
    about = orjson.loads(text) if text else {}
    if about.get("kind") != kind or about.get("format") != FORMAT:
        what = f"it is {about['kind']!r}" if about.get("kind") else "it is not of this program"
        raise OverrefusalError(f"{path}: no {kind} file, {what}; `{command}` writes one")
    return tensors, about


def _provenance(about: dict[str, Any]) -> Provenance:
    given = about["provenance"]
    return Provenance(**given | {"plan": Plan(**given["plan"])})


def _positions(about: dict[str, Any]) -> tuple[Position, ...]:
    return tuple(Position(**given) for given in about["positions"])


def _weights(identity: str) -> tuple[str, ...]:
    """What of an identity names the weights: the hash or commit (the name where there is none),
    and the adapter; not the precision."""
    name, _, rest = identity.partition("@")
    version, *more = rest.split(",")
    return (name if version == "None" else version, *more[1:])
