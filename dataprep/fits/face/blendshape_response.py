"""What the detector's blendshapes say of an expression: how they answer to one, and how far they scatter.

b = rest + per_expression e + an error: `rest` is what the network says of a face at rest (it takes open lids for a
third of a squint), `per_expression` how it answers to the face model's coefficients, and the errors of one picture go
together. `measure_blendshapes` measures the three on rendered people. A fit takes blendshapes for 52 more measurements
of the same expression. They come from other pixels and another network than most of what the landmarks say, so the two
are taken for independent: with their measured covariance the expressions were no better (0.78 both ways).

The answer belongs to one face model's basis; other models do without, as without facial units.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import AssetError
from dataprep.models.detection.blendshapes import BLENDSHAPES
from dataprep.models.face.bfm import EXP, FaceModel
from dataprep.models.shipped import NOT_SUCH_A_FILE, SHIPPED_FOLDER, read_shipped

RESPONSE_PATH = SHIPPED_FOLDER / "blendshapes_anny.npz"


@dataclass(frozen=True, eq=False)
class BlendshapeResponse:
    """Blendshapes at rest, their change per standard deviation of each coefficient, and their errors' covariance."""

    rest: Float[np.ndarray, "52"]
    per_expression: Float[np.ndarray, "52 64"]
    covariance: Float[np.ndarray, "52 52"]
    sha256: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def information(self) -> Float[np.ndarray, "64 64"]:
        """Of one reading about the expression: second derivatives of half its squared, whitened errors."""
        return self.per_expression.T @ self._weighed

    def score(self, blendshapes: Float[np.ndarray, "52"]) -> Float[np.ndarray, "64"]:
        """What one reading adds to the right-hand side of the normal equations: information @ expression = score."""
        return (blendshapes - self.rest) @ self._weighed

    @cached_property
    def _weighed(self) -> Float[np.ndarray, "52 64"]:
        return np.linalg.solve(self.covariance, self.per_expression)


def response_of(model: FaceModel, path: Path = RESPONSE_PATH) -> BlendshapeResponse | None:
    """The response of a face model, None when it is another one's; AssetError when the file is broken."""
    try:
        arrays, meta, sha256 = read_shipped(path)
        names = ("rest", "per_expression", "covariance")
        rest, slopes, covariance = (arrays[name].astype(np.float64) for name in names)
        np.linalg.cholesky(covariance)
        if slopes.shape != (len(BLENDSHAPES), EXP) or tuple(meta["blendshapes"]) != BLENDSHAPES:
            raise ValueError("not the 52 blendshapes that the detector reads")
    except (*NOT_SUCH_A_FILE, TypeError, np.linalg.LinAlgError) as broken:
        raise AssetError(f"blendshape response {path.name}: missing or broken ({broken}) in {path.parent}") from broken
    if meta.get("face_sha256") != model.sha256:
        return None
    return BlendshapeResponse(rest, slopes, covariance, sha256, meta)


def save_response(path: Path, response: BlendshapeResponse) -> None:
    """Write plain float32 arrays and the meta data as JSON."""
    np.savez_compressed(
        path,
        rest=response.rest.astype(np.float32),
        per_expression=response.per_expression.astype(np.float32),
        covariance=response.covariance.astype(np.float32),
        meta=np.array(json.dumps({**response.meta, "blendshapes": BLENDSHAPES}, sort_keys=True)),
    )
