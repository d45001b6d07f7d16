"""The size of the face in the photograph, as evidence of the body's scale.

A photograph hardly shows how tall a person is, and a body fit reads its scale from proportions that clothes and poses
hide. Heads of adults vary little. A 3DMM fit of the 68 landmarks says how many px one dm of face takes; the fits weigh
that against what the body's points say (`map_body`, `eft`). `measure_scale` compares both with truth.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float

from dataprep.errors import Rejected
from dataprep.fits.body.evidence import Evidence
from dataprep.fits.face.face3dmm import FaceFitter
from dataprep.frames.face_frames import px_per_dm

# Standard deviation of log (px per m by the face / px per m of the body). Published surveys say that adults' faces vary
# by 4 to 5%, of which the fitted shape explains a part. Rendered people, whose heads vary more, are as well served by
# any value from 0.03 to 0.08; on real photographs the body's own scale is worth less, so it is a small one (README.md).
FACE_LOG_SIGMA = 0.035


def face_px_per_m(
    fitters: Mapping[str, FaceFitter], landmarks_px: Float[np.ndarray, "68 2"] | None, found_by: str | None
) -> float | None:
    """Px per metre at the face, in the picture of the landmarks; None without landmarks that form a face.

    `fitters`: by what found the landmarks ("mesh", "fan"), of a face model in metric size.
    """
    if landmarks_px is None:
        return None
    (fit,) = fitters[found_by or "mesh"](np.asarray(landmarks_px, np.float64)[None])
    return None if isinstance(fit, Rejected) else 10 * px_per_dm(fit.trans_dm, fit.alignment)


def scale_evidence(px_per_m: float | None) -> Evidence:
    """One body's evidence; no face, none."""
    if px_per_m is None:
        return Evidence(torch.ones(1), torch.full((1,), torch.inf))
    return Evidence(torch.tensor([px_per_m], dtype=torch.float32), torch.tensor([FACE_LOG_SIGMA]))
