"""Who reads faces for Eq. 9: R-Net where it is present and speaks of the labels' face model, else our stand-in.

    open_estimator(face)    R-Net for BFM, the stand-in face estimator for the shipped face, None for others

The face camera frames every face alike (docs/cameras.md), so no landmarks are needed to align one. Suffixes: B batch,
H W pixels, K coefficients, digits literal sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dataprep.errors import AssetError
from dataprep.files.file_hashes import file_sha256
from dataprep.frames.geometry import FACE_SIDE_M
from dataprep.models.face.bfm import EXP, ID, FaceModel
from dataprep.models.licensed import assets_folder
from dataprep.models.regressors.rnet import BFM_VERTICES, INPUT_PX, RNet, load_rnet
from dataprep.models.shipped import NOT_SUCH_A_FILE, SHIPPED_FOLDER, read_shipped
from gan.face.face_coefficients import Coefficients, FaceEstimator
from gan.face.standin_network import STANDIN_PX, StandinFaceNet, resized

WEIGHTS_PATH = SHIPPED_FOLDER / "face_estimator_anny.npz"
RNET_FILE = "epoch_20.pth"
RNET_SIDE_M = INPUT_PX / 102.0 / 10  # R-Net's square at 102 px a decimetre
_AGAIN = "train one with `python -m gan.face.train_face_estimator --data CG`"


class StandinFaceEstimator(FaceEstimator):
    """Our small network, trained on renders of people who do not exist: a stand-in for R-Net, and no more than that."""

    name = "stand-in face estimator"

    def __init__(self, network: StandinFaceNet, weights_sha256: str, face_sha256: str, meta: Mapping[str, Any]) -> None:
        super().__init__()
        self.network, self.meta = network, dict(meta)
        self.weights_sha256, self.face_sha256 = weights_sha256, face_sha256

    def forward(self, face_B3HW: Float[Tensor, "b 3 h w"]) -> Coefficients:
        """Estimate from square pictures in [-1, 1] on white, of any size."""
        return self.network(resized(face_B3HW, STANDIN_PX)).coefficients


class RNetEstimator(FaceEstimator):
    """Deep3DFaceRecon's network on the face camera's pictures; its square is the middle of theirs."""

    name = "R-Net (Deep3DFaceRecon)"

    def __init__(self, network: RNet, weights_sha256: str, face_sha256: str) -> None:
        super().__init__()
        self.network, self.weights_sha256, self.face_sha256 = network, weights_sha256, face_sha256

    def forward(self, face_B3HW: Float[Tensor, "b 3 h w"]) -> Coefficients:
        """Estimate from square pictures in [-1, 1] on white, of any size; R-Net sees RGB from 0 to 1."""
        reach = RNET_SIDE_M / FACE_SIDE_M
        across = torch.linspace(-reach, reach, INPUT_PX).to(face_B3HW)
        y, x = torch.meshgrid(across, across, indexing="ij")
        grid = torch.stack([x, y], -1).expand(len(face_B3HW), -1, -1, -1)
        aligned = F.grid_sample(face_B3HW / 2 + 0.5, grid, padding_mode="border", align_corners=True)
        return split_coefficients(self.network(aligned))


def split_coefficients(row_BK: Float[Tensor, "b 257"]) -> Coefficients:
    """Take identity and expression off R-Net's 257 numbers; they come first."""
    return Coefficients(row_BK[:, :ID], row_BK[:, ID : ID + EXP])


def open_estimator(face: FaceModel) -> FaceEstimator | None:
    """Return the estimator of a face model; None, and Eq. 9 is left out, where there is none that speaks it."""
    rnet = assets_folder() / RNET_FILE
    if len(face.mean) == BFM_VERTICES and rnet.is_file():
        return RNetEstimator(load_rnet(rnet), file_sha256(rnet), face.sha256)
    standin = load_standin_estimator()
    return standin if standin.face_sha256 == face.sha256 else None


def load_standin_estimator(path: Path = WEIGHTS_PATH) -> StandinFaceEstimator:
    """Read the weights; AssetError says what is wrong with the file."""
    try:
        arrays, meta, sha256 = read_shipped(path)
        network = StandinFaceNet()
        network.load_state_dict({key: torch.from_numpy(value.astype(np.float32)) for key, value in arrays.items()})
        face_sha256 = meta["face_sha256"]
    except FileNotFoundError as missing:
        raise AssetError(f"face estimator {path.name}: no such file in {path.parent}; {_AGAIN}") from missing
    except (*NOT_SUCH_A_FILE, RuntimeError) as broken:
        raise AssetError(f"face estimator {path.name}: not an estimator file ({broken}); {_AGAIN}") from broken
    return StandinFaceEstimator(network.eval(), sha256, face_sha256, meta)
