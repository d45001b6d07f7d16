"""R-Net of Deep3DFaceRecon (Deng et al. 2019): an aligned 224 px face to the 257 coefficients of its 3DMM.

Own code, key names of `epoch_20.pth`. Input is RGB / 255 without mean or deviation; angles and translation are those
of `fits.face_frames`; it predicts coefficients of the Basel face model and of no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dataprep.models.regressors.resnet import FEATURES, ResNet50
from dataprep.models.torch_checkpoints import load_weights, read_checkpoint

INPUT_PX = 224
SOURCE = "github.com/sicxu/Deep3DFaceRecon_pytorch (epoch_20.pth)"
LAYERS = (80, 64, 80, 3, 27, 2, 1)  # identity, expression, texture, angle, light, tx and ty, tz
COEFFICIENTS = sum(LAYERS)
BFM_VERTICES = 35_709


@dataclass(frozen=True, eq=False)
class FaceCoefficients:
    """One face's 257 numbers, by meaning: standard deviations, rad, light relative to 0.8, dm."""

    identity: Float[np.ndarray, "80"]
    expression: Float[np.ndarray, "64"]
    tex: Float[np.ndarray, "80"]
    angle_rad: Float[np.ndarray, "3"]
    gamma: Float[np.ndarray, "27"]
    trans_dm: Float[np.ndarray, "3"]


def split_257(row: Float[np.ndarray, "257"]) -> FaceCoefficients:
    """id 0:80, exp 80:144, tex 144:224, angle 224:227, gamma 227:254, trans 254:257."""
    return FaceCoefficients(*np.split(row.astype(np.float64), [80, 144, 224, 227, 254]))


class RNet(nn.Module):
    """ResNet-50 features, averaged, then one linear layer for each group of coefficients."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList(nn.Conv2d(FEATURES, outputs, 1) for outputs in LAYERS)

    def forward(self, images: Float[Tensor, "b 3 224 224"]) -> Float[Tensor, "b 257"]:
        features = self.backbone.features(images).mean((2, 3), keepdim=True)
        return torch.cat([layer(features) for layer in self.final_layers], 1).flatten(1)


@torch.inference_mode()
def regress(network: RNet, faces: list[UInt8[np.ndarray, "224 224 3"]]) -> list[FaceCoefficients]:
    """Coefficients of aligned faces, in one batch on the network's device."""
    device = next(network.parameters()).device
    images = torch.from_numpy(np.stack(faces)).to(device).permute(0, 3, 1, 2).float() / 255
    return [split_257(row) for row in network(images).cpu().numpy()]


def load_rnet(path: Path) -> RNet:
    """Read the 'net_recon' part of `epoch_20.pth`; AssetError says what is wrong with it."""
    network = RNet()
    load_weights(network, read_checkpoint(path, "net_recon", SOURCE), path.name)
    return network.eval()
