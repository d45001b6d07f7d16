"""Expressions as sums of facial units: what a lid, a brow or a corner of the mouth can do, and nothing negative.

The basis of a face model has a normal prior in every direction, also in those that no face takes. Units have a sign (a
mouth opens, it does not open by less than nothing) and are mostly at rest: with both, 68 landmarks tell more of an
expression. Known for the shipped face alone; other face models keep their normal prior.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import AssetError
from dataprep.models.face.bfm import FaceModel
from dataprep.models.shipped import NOT_SUCH_A_FILE, SHIPPED_FOLDER, read_shipped

UNITS_PATH = SHIPPED_FOLDER / "face_units_anny.npz"


@dataclass(frozen=True, eq=False)
class ExpressionUnits:
    """What each unit is at activation 1, in standard deviations of the face model's expression coefficients."""

    names: tuple[str, ...]
    coefficients: Float[np.ndarray, "64 u"]
    sha256: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


def units_of(model: FaceModel, path: Path = UNITS_PATH) -> ExpressionUnits | None:
    """The units of a face model, None when they are of another one; AssetError when the file is broken."""
    try:
        arrays, meta, sha256 = read_shipped(path)
        names, coefficients = tuple(map(str, arrays["names"])), arrays["coefficients"].astype(np.float64)
    except NOT_SUCH_A_FILE as broken:
        raise AssetError(f"facial units {path.name}: missing or broken ({broken}) in {path.parent}") from broken
    if meta.get("face_sha256") != model.sha256:
        return None
    return ExpressionUnits(names, coefficients, sha256, meta)
