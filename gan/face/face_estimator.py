"""Who reads faces for Eq. 9: R-Net where it is present and speaks of the labels' face model, else our stand-in.

    open_estimator(face)    R-Net for BFM, the stand-in face estimator for the shipped face, None for others

The face camera frames every face alike (spec 2, section 1), so no landmarks are needed to align one. Suffixes: B batch,
H W pixels, K coefficients, digits literal sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.errors import AssetError
from dataprep.files.file_hashes import file_sha256
from dataprep.frames.geometry import FACE_SIDE_M
from dataprep.models.face.bfm import EXP, ID, TEX, FaceModel
from dataprep.models.licensed import assets_folder
from dataprep.models.regressors.rnet import BFM_VERTICES, COEFFICIENTS, INPUT_PX, RNet, load_rnet
from dataprep.models.shipped import NOT_SUCH_A_FILE, SHIPPED_FOLDER, read_shipped
from gan.face.face_coefficients import Coefficients, FaceEstimator

WEIGHTS_PATH = SHIPPED_FOLDER / "face_estimator_anny.npz"
RNET_FILE = "epoch_20.pth"
RNET_SIDE_M = INPUT_PX / 102.0 / 10  # R-Net's square at 102 px a decimetre
STANDIN_PX = 64
_AGAIN = "train one with `python -m gan.face.train_face_estimator`"


class StandinFaceNet(nn.Module):
    """Four strided convolutions and two linear layers: the 257 numbers of R-Net's order, in deviations of training.

    `scale_K` and `mean_K` bring the output to radians, decimetres and coefficients.
    """

    scale_K: Tensor
    mean_K: Tensor

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 16, 32, 64, 96)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in itertools.pairwise(widths)
        )
        self.hidden = nn.Linear(widths[-1] * (STANDIN_PX // 16) ** 2, 128)
        self.last = nn.Linear(128, COEFFICIENTS)
        self.register_buffer("scale_K", torch.ones(COEFFICIENTS))
        self.register_buffer("mean_K", torch.zeros(COEFFICIENTS))

    def forward(self, image_B3HW: Float[Tensor, "b 3 64 64"]) -> Float[Tensor, "b 257"]:
        """Read pictures in [-1, 1]."""
        x = image_B3HW
        for convolution in self.convolutions:
            x = F.leaky_relu(convolution(x), 0.1)
        return self.last(F.leaky_relu(self.hidden(x.flatten(1)), 0.1)) * self.scale_K + self.mean_K


class StandinFaceEstimator(FaceEstimator):
    """Our small network, trained on renders of the shipped face model: a stand-in for R-Net, and no more than that."""

    name = "stand-in face estimator"

    def __init__(self, network: StandinFaceNet, weights_sha256: str, face_sha256: str, meta: Mapping[str, Any]) -> None:
        super().__init__()
        self.network, self.meta = network, dict(meta)
        self.weights_sha256, self.face_sha256 = weights_sha256, face_sha256

    def forward(self, face_B3HW: Float[Tensor, "b 3 h w"]) -> Coefficients:
        """Estimate from square pictures in [-1, 1] on white, of any size."""
        return split_coefficients(self.network(resized(face_B3HW, STANDIN_PX)))


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
    """Cut the 257 numbers by meaning: identity, expression, texture, angle, light, translation."""
    return Coefficients(*row_BK.split([ID, EXP, TEX, 3, 27, 3], dim=1))


def resized(image_B3HW: Float[Tensor, "b 3 h w"], side: int) -> Float[Tensor, "b 3 s s"]:
    """Bring pictures to `side` pixels; larger ones are averaged, so that gradients reach every pixel."""
    if image_B3HW.shape[-1] == side:
        return image_B3HW
    return F.interpolate(image_B3HW, size=(side, side), mode="bilinear", align_corners=False, antialias=True)


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
