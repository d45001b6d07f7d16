"""HMR as SPIN and EFT use it: one 224 px picture of a person to SMPL rotations, shape and camera.

Kanazawa et al. 2018 (iterative regression), Kolotouros et al. 2019 (6D rotations); own code, the key names of
`model_checkpoint.pt`. It sees pixels, so EFT on it weighs image evidence that key points do not carry; it predicts
coefficients of the real SMPL and of no other body.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dataprep.frames import geometry
from dataprep.frames.rotations import matrix_from_sixd
from dataprep.models.regressors.lifter import BodyEstimate, LifterInput
from dataprep.models.regressors.resnet import FEATURES, ResNet50
from dataprep.models.torch_checkpoints import load_weights, read_checkpoint

INPUT_PX = 224  # this and the numbers below are SPIN's: its weights were trained with them
SOURCE = "github.com/nkolot/SPIN (model_checkpoint.pt)"

_POSE, _SHAPE, _CAMERA = 24 * 6, 10, 3
_HIDDEN = 1024
_ITERATIONS = 3
_CROP_MARGIN = 1.2
# of ImageNet's colours, on which the trunk was trained first
_MEAN, _STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


class ImageExemplar(LifterInput):
    """A LifterInput in EFT's crop units (the square around the visible points spans [-1, 1]), with that square's
    picture `image` (1, 3, 224, 224), normalised by ImageNet's mean and deviation."""

    image: Tensor


def image_exemplar(inputs: LifterInput, photograph: UInt8[np.ndarray, "h w 3"]) -> ImageExemplar:
    """One exemplar (batch of one) in crop units with its picture; outside the photograph is black, as in SPIN."""
    seen = inputs.points[0][inputs.visible[0]].double()
    low, high = seen.amin(0), seen.amax(0)
    half = _CROP_MARGIN / 2 * (high - low).max()
    middle = (low + high) / 2
    centre_px = inputs.centre_px[0].double() + inputs.scale_px[0].double() * middle
    half_px = (inputs.scale_px[0].double() * half).reshape(1)
    exemplar = ImageExemplar(
        points=(inputs.points - middle.float()) / half.float(),
        world=inputs.world,
        visible=inputs.visible,
        centre_px=centre_px.float()[None],
        scale_px=half_px.float(),
    )
    matrix = geometry.square_from_source(centre_px.numpy(), 2 * float(half_px), 0.0, INPUT_PX)
    exemplar.image = normalised(cut(photograph, matrix, INPUT_PX))[None]
    return exemplar


def cut(photograph: np.ndarray, matrix: geometry.Affine, size_px: int) -> UInt8[np.ndarray, "s s 3"]:
    """Cut a square, black outside the photograph; by area when it shrinks, so that large photographs do not alias."""
    shrink = geometry.scale_of(matrix)
    if shrink < 1:
        size = (max(1, round(photograph.shape[1] * shrink)), max(1, round(photograph.shape[0] * shrink)))
        smaller = cv2.resize(photograph, size, interpolation=cv2.INTER_AREA)
        ratio = np.array([photograph.shape[1] / size[0], photograph.shape[0] / size[1]])
        matrix = matrix @ np.diag([*ratio, 1.0])
        photograph = smaller
    # Pixel centres lie at +0.5 in our coordinates and at integers in OpenCV's.
    shift = matrix[:, :2] @ np.array([0.5, 0.5]) - 0.5
    warp = np.column_stack((matrix[:, :2], matrix[:, 2] + shift))
    return cv2.warpAffine(photograph, warp, (size_px, size_px), flags=cv2.INTER_LINEAR)


def normalised(rgb: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "3 h w"]:
    """uint8 RGB -> ImageNet-normalised channels first."""
    return ((torch.from_numpy(np.ascontiguousarray(rgb)).float() / 255 - _MEAN) / _STD).permute(2, 0, 1)


class Hmr(ResNet50):
    """Regresses 24 rotations (6D), 10 betas and a camera in three additive rounds from the mean parameters.

    The 331 state entries are those of the published checkpoint. Rotations: 180 degrees about x = upright, frontal.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(FEATURES + _POSE + _SHAPE + _CAMERA, _HIDDEN)
        self.drop1 = nn.Dropout()
        self.fc2 = nn.Linear(_HIDDEN, _HIDDEN)
        self.drop2 = nn.Dropout()
        self.decpose = nn.Linear(_HIDDEN, _POSE)
        self.decshape = nn.Linear(_HIDDEN, _SHAPE)
        self.deccam = nn.Linear(_HIDDEN, _CAMERA)
        self.register_buffer("init_pose", torch.zeros(1, _POSE))
        self.register_buffer("init_shape", torch.zeros(1, _SHAPE))
        self.register_buffer("init_cam", torch.zeros(1, _CAMERA))

    def forward(self, batch: ImageExemplar) -> BodyEstimate:
        """Rotations in cam axes; the camera maps metres to crop units. Computed where the weights are, given on CPU."""
        estimate = self.estimate(batch.image.to(self.fc1.weight.device))
        return BodyEstimate(*(tensor.cpu() for tensor in estimate))

    def estimate(self, images: Float[Tensor, "b 3 224 224"]) -> BodyEstimate:
        """From normalised pictures. There is no nonlinearity between the layers, as in the reference."""
        features = self.features(images).mean((2, 3))
        initial = torch.cat((self.init_pose, self.init_shape, self.init_cam), 1)  # type: ignore[arg-type]
        pose, shape, camera = (p.expand(len(images), -1) for p in initial.split((_POSE, _SHAPE, _CAMERA), 1))
        for _ in range(_ITERATIONS):
            x = self.drop1(self.fc1(torch.cat((features, pose, shape, camera), 1)))
            x = self.drop2(self.fc2(x))
            pose, shape, camera = pose + self.decpose(x), shape + self.decshape(x), camera + self.deccam(x)
        return BodyEstimate(matrix_from_sixd(pose.unflatten(1, (24, 6))), shape, camera)

    def parameters_for_eft(self) -> list[nn.Parameter]:
        """All layers are tuned, as in EFT, except what `freeze_norm` has frozen."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def freeze_norm(self) -> None:
        """Batch norm by its running statistics and with fixed scale and shift, dropout off: a batch of one is tuned."""
        self.eval()
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                for parameter in module.parameters():
                    parameter.requires_grad_(False)


def load_hmr(path: Path) -> Hmr:
    """Read `model_checkpoint.pt` ('model' or a bare state dict); AssetError says what is wrong with it."""
    network = Hmr()
    load_weights(network, read_checkpoint(path, "model", SOURCE), path.name)
    return network.eval()
