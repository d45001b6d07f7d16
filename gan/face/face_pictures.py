"""The face pictures of a data set in memory, with their labels and their mirror images', and how they are spoilt.

Suffixes: N pictures, B batch, H W pixels, K coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from dataprep.files.locations import Location
from dataprep.models.body.smpl import BodyModel
from dataprep.models.face.bfm import FaceModel
from gan.data.label_rows import Labels
from gan.data.mirror import mirror_of_models
from gan.data.shards import ShardDataset, Split
from gan.data.stream import to_unit_range
from gan.errors import BasisError
from gan.face.standin_network import CODES, STANDIN_PX, resized

SIDES_PX = (32, 40, 48, 64, 64, 64)  # pictures of 64 px and more come alike to the network
BLURRED_SHARE, BLUR_PX = 0.4, (0.4, 1.2)  # standard deviation
CONTRAST, COLOUR, DARKER, NOISE_MAX = (0.7, 1.15), (0.92, 1.08), (-0.1, 0.05), 0.08  # of values in [-1, 1]
# Of half the picture's side: a face lies up to 20 mm of 124 from where its codes put it.
SHIFT = 0.06


class FacePictures(NamedTuple):
    """Pictures, and what they show: identity, expression, then pitch and yaw of the face camera.

    `mirrored_NK` is what their mirror images show; None where the face model has no mirror image of its own shapes.
    """

    image_N3HW: UInt8[Tensor, "n 3 64 64"]
    label_NK: Float[Tensor, "n 146"]
    mirrored_NK: Float[Tensor, "n 146"] | None = None

    def __len__(self) -> int:
        return len(self.label_NK)


def load_faces(roots: Sequence[Location], split: Split, face: FaceModel, body: BodyModel) -> FacePictures:
    """Read the face pictures of one split; BasisError where the labels speak of another face model."""
    dataset = ShardDataset(roots, split, face_px=STANDIN_PX)
    if dataset.bases.face_sha256 != face.sha256:
        raise BasisError(f"the labels speak of {dataset.bases}, the estimator speaks of {face.name}; give its data")
    images_NHW3 = np.stack([dataset.image(row, "face", STANDIN_PX) for row in range(len(dataset))])
    dataset.close()
    mirror = mirror_of_models(face.mean, face.id_base, face.exp_base, body.v_template, body.shapedirs)
    has_mirror = mirror.has_identity and mirror.bfm_exp is not None
    return FacePictures(
        torch.from_numpy(images_NHW3).permute(0, 3, 1, 2).contiguous(),
        _rows(dataset.labels),
        _rows(mirror.labels(dataset.labels)) if has_mirror else None,
    )


def _rows(labels: Labels) -> Float[Tensor, "n 146"]:
    return torch.from_numpy(np.concatenate([labels.bfm_id, labels.bfm_exp, labels.face_pitch_yaw], 1))


def split_label(label_BK: Float[Tensor, "b 146"]) -> tuple[Tensor, Tensor, Tensor]:
    """Cut labels into identity, expression and camera."""
    z_id_BK, z_exp_BK, camera_B2 = label_BK.split(CODES, 1)
    return z_id_BK, z_exp_BK, camera_B2


def draw_batch(faces: FacePictures, batch: int, random: np.random.Generator) -> tuple[Tensor, Float[Tensor, "b 146"]]:
    """Draw pictures as the generator may make them, half of them mirrored: uint8 turned to [-1, 1], and spoilt."""
    chosen_B = torch.from_numpy(random.integers(0, len(faces), batch))
    mirrored_B = torch.from_numpy(random.random(batch) < 0.5)
    image_B3HW, label_BK = faces.image_N3HW[chosen_B], faces.label_NK[chosen_B]
    if faces.mirrored_NK is not None:
        image_B3HW = torch.where(mirrored_B[:, None, None, None], image_B3HW.flip(-1), image_B3HW)
        label_BK = torch.where(mirrored_B[:, None], faces.mirrored_NK[chosen_B], label_BK)
    return spoilt(to_unit_range(image_B3HW), random), label_BK


def spoilt(image_B3HW: Float[Tensor, "b 3 64 64"], random: np.random.Generator) -> Float[Tensor, "b 3 64 64"]:
    """Let pictures look as a generator's may: coarse, soft, off in contrast and colour, noisy, out of place."""
    count = len(image_B3HW)

    def uniform(bounds: tuple[float, float], *shape: int) -> Tensor:
        return torch.from_numpy(random.uniform(*bounds, shape).astype(np.float32))

    image_B3HW = resized(resized(image_B3HW, int(random.choice(SIDES_PX))), STANDIN_PX)
    if random.random() < BLURRED_SHARE:
        image_B3HW = _blurred(image_B3HW, random.uniform(*BLUR_PX))
    gain = uniform(CONTRAST, count, 1, 1, 1) * uniform(COLOUR, count, 3, 1, 1)
    image_B3HW = 1 + (image_B3HW - 1) * gain + uniform(DARKER, count, 1, 1, 1)  # white stays nearly white
    noise = torch.from_numpy(random.standard_normal(image_B3HW.shape, dtype=np.float32))
    image_B3HW = image_B3HW + uniform((0.0, NOISE_MAX), count, 1, 1, 1) * noise
    return _shifted(image_B3HW, uniform((-SHIFT, SHIFT), count, 2))


def _blurred(image_B3HW: Tensor, deviation_px: float) -> Tensor:
    weight_5 = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / (2 * deviation_px**2))
    kernel = (weight_5 / weight_5.sum()).expand(3, 1, 1, 5)
    padded = F.pad(image_B3HW, (2, 2, 2, 2), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.mT, groups=3)


def _shifted(image_B3HW: Tensor, shift_B2: Float[Tensor, "b 2"]) -> Tensor:
    """Shift pictures by parts of half their side; their rims go on."""
    matrix_B23 = torch.cat([torch.eye(2).expand(len(shift_B2), 2, 2), shift_B2[..., None]], -1)
    grid = F.affine_grid(matrix_B23, list(image_B3HW.shape), align_corners=False)
    return F.grid_sample(image_B3HW, grid, padding_mode="border", align_corners=False)
