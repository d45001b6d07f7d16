"""Pictures of the averaged generator at codes that stay the same through a run: people in rows, cameras in columns."""

import dataclasses
import math

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dataprep.pictures.codecs import encode_png
from gan.data.priors import Codes, LabelPrior, Purpose
from gan.presets import Preset
from gan.rendering.generator import Generator, Identity, View
from gan.rendering.mean_modulations import mean_modulations
from gan.rendering.truncation import PSI, Truncation
from gan.training.pictures import split

PEOPLE = 5
FRONT_RAD = math.pi / 2
TILTS_RAD = ((0.0, 0.0), (0.0, -0.4), (0.0, 0.4), (-0.2, 0.0))  # pitch, yaw added to a frontal camera


def snapshot_pngs(generator: Generator, prior: LabelPrior, preset: Preset) -> dict[str, bytes]:
    """Return PNGs by name: people as they are drawn, and pulled to the mean person by truncation."""
    mean = mean_modulations(generator, prior.identities(), prior.seed)
    return {
        "free": encode_png(snapshot(generator, prior, preset)),
        f"psi{PSI}": encode_png(snapshot(generator, prior, preset, mean)),
    }


@torch.no_grad()
def snapshot(
    generator: Generator, prior: LabelPrior, preset: Preset, truncation: Truncation | None = None
) -> UInt8[np.ndarray, "h w 3"]:
    """Return a grid: portraits from the label's camera, the front and three tilts, then faces from the same."""
    like = next(generator.parameters())
    codes = Codes(*(values.to(like) for values in prior.draw(range(PEOPLE), Purpose.SNAPSHOT)))
    rows = [_person(generator, one, preset, truncation) for one in split(codes)]
    return ((torch.cat(rows, 1).clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()


def _person(generator: Generator, one: Codes, preset: Preset, truncation: Truncation | None) -> Float[Tensor, "3 h w"]:
    """One person from all cameras, in a row."""
    tilted_T2 = FRONT_RAD + one.camera_B2.new_tensor(TILTS_RAD)
    maps = generator.radiance_maps(one.z_id_BK, one.noise_BK, truncation, high=preset.stage == 2)
    identity = Identity(one.z_id_BK, one.betas_BK, maps)
    z_exp, pose = (value.expand(1 + len(tilted_T2), *value.shape[1:]) for value in (one.z_exp_BK, one.pose_BP3))
    cameras: dict[View, tuple[Tensor, int]] = {
        "portrait": (one.camera_B2, preset.portrait_px),
        "face": (one.face_camera_B2, preset.face_px),
    }
    pictures = []
    for view, (own_12, side) in cameras.items():
        config = dataclasses.replace(generator.config, image_size=side)
        seen = generator.render(identity, z_exp, pose, torch.cat([own_12, tilted_T2]), view, config=config)
        pictures += list(_padded(seen.image_B3HW, preset.portrait_px))
    return torch.cat(pictures, 2)


def _padded(image_B3HW: Tensor, side: int) -> Tensor:
    """White around smaller pictures, nothing resampled."""
    missing = side - image_B3HW.shape[-1]
    before, after = missing // 2, missing - missing // 2
    return torch.nn.functional.pad(image_B3HW, (before, after, before, after), value=1.0)
