"""The paired start: phi (in stage 2: U) learns to repeat real pictures from their labels before the critics have a say.

Not the paper's method, and off in its presets. Labels that are exact, or nearly, say where every ray of a picture meets
the canonical person; the appearance code says who it is (appearance.py). So colours can be compared ray by ray, which
teaches in minutes what critics teach in days: people with hair, skin, eyes and clothes. M and D_e stay as they began;
critics sharpen what the average of many pictures leaves soft. U, which needs whole maps, is compared by whole pictures.

Suffixes: B batch, R rays.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gan.data.label_rows import Labels
from gan.data.priors import Codes, Purpose
from gan.data.stream import RealBatch, to_unit_range
from gan.networks.device_work import carried
from gan.presets import Preset
from gan.rendering.cameras import camera_origin
from gan.rendering.generator import Generator, View
from gan.training.at_hits import shade_rays, style_of
from gan.training.pictures import make_pictures
from gan.training.warm_start.appearance import AppearanceCodes
from gan.training.warm_start.kept_rays import KeptRays

BETAS = (0.9, 0.99)  # of Adam: without a critic nothing argues against momentum
WARM_UP_IMAGES = 160  # over which the rate rises


@dataclass(frozen=True, eq=False)
class Paired:
    """Labels and appearance of every row, as the stream shows it: plain or mirrored."""

    plain: Labels
    mirrored: Labels | None
    appearance: AppearanceCodes = field(repr=False)
    rays: KeptRays = field(repr=False)

    def codes(self, batch: RealBatch, seed: int) -> Codes:
        """Return what should bring forth these pictures."""
        places = zip(batch.position_B.tolist(), batch.row_B.tolist(), batch.mirrored_B.tolist(), strict=True)
        rows = [self._of(position, row, mirrored, seed) for position, row, mirrored in places]
        return Codes(*(torch.from_numpy(np.stack(values)) for values in zip(*rows, strict=True)))

    def _of(self, position: int, row: int, is_mirrored: bool, seed: int) -> tuple[np.ndarray, ...]:
        labels = self.mirrored if is_mirrored and self.mirrored is not None else self.plain
        noise = self.appearance.code(row, is_mirrored, random_of(seed, position))
        return (
            *(labels.bfm_id[row], labels.smpl_betas[row], labels.bfm_exp[row], noise),
            *(labels.joints_zyx[row], labels.camera_pitch_yaw[row], labels.face_pitch_yaw[row]),
        )


def paired_losses(
    generator: Generator, codes: Codes, batch: RealBatch, preset: Preset, seed: int, rays: KeptRays
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the mean absolute difference of rays drawn from either camera's pictures, with its parts for the log."""
    differences: dict[View, list[Tensor]] = {"portrait": [], "face": []}
    radiance_style = generator.radiance_net.style(torch.cat([codes.z_id_BK, codes.noise_BK], 1))
    cameras: tuple[tuple[View, Tensor], ...] = (("portrait", codes.camera_B2), ("face", codes.face_camera_B2))
    for number, (view, camera_B2) in enumerate(cameras):
        origin_B3 = camera_origin(camera_B2, generator.cameras[view].radius)
        for person, pool in enumerate(rays.of(generator, codes, batch, view)):
            random = random_of(seed, int(batch.position_B[person]), number)
            count = min(preset.paired.rays, len(pool.colour_R3))
            chosen_R = torch.from_numpy(random.choice(len(pool.colour_R3), count, replace=False))
            hits, wanted_R3 = pool.take(chosen_R, origin_B3)
            seen_R3 = shade_rays(generator, hits, style_of(radiance_style, person), origin_B3[person])
            differences[view].append((seen_R3 - wanted_R3).abs().mean())
    parts = {f"paired_{view}": torch.stack(values).mean() for view, values in differences.items()}
    return torch.stack(list(parts.values())).mean(), parts


def paired_picture_losses(
    generator: Generator, codes: Codes, batch: RealBatch, preset: Preset, dtype: torch.dtype
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the mean absolute difference of both cameras' whole pictures: stage 2."""
    made = make_pictures(generator, codes, preset, dtype)
    pairs = {"portrait": (made.portrait_B3HW, batch.portrait_B3HW), "face": (made.face_B3HW, batch.face_B3HW)}
    parts = {
        f"paired_{view}": (picture - to_unit_range(carried(wanted, picture.device))).abs().mean()
        for view, (picture, wanted) in pairs.items()
    }
    return torch.stack(list(parts.values())).mean(), parts


def rate(preset: Preset, images_seen: int) -> float:
    """Return the learning rate of the start: rising at first, then falling as one over the images.

    A cosine over the whole start kept 6e-4 for too long: from 3,000 images on gradients grew and pictures blurred.
    """
    paired = preset.paired
    return paired.lr / (1 + images_seen / paired.half_after) * min(1.0, (images_seen + preset.batch) / WARM_UP_IMAGES)


def random_of(seed: int, position: int, *more: int) -> np.random.Generator:
    """Return the random numbers of a position of the start."""
    return np.random.default_rng(np.random.SeedSequence((seed, int(Purpose.PAIRED), position, *more)))
