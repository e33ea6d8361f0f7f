"""Where the development data lies: other people's data, never part of this repository."""

import os
from pathlib import Path

import pytest

_CANDIDATES = (
    os.environ.get("OVERREFUSAL_DATA"),
    Path(__file__).resolve().parents[2] / "shared" / "data",
)
DATA: Path | None = next((Path(p) for p in _CANDIDATES if p and Path(p).is_dir()), None)

needs_data = pytest.mark.skipif(
    DATA is None, reason="development data not found: set OVERREFUSAL_DATA to its folder"
)
