"""Pictures of the averaged generator at fixed codes: people in rows, cameras in columns."""

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from dataprep.images import encode_png
from gan.data.priors import Codes, LabelPrior, Purpose
from gan.generator import Generator
from gan.presets import Preset
from gan.training.pictures import make_pictures

PEOPLE = 5
TILTS_RAD = ((0.0, 0.0), (0.0, -0.4), (0.0, 0.4), (-0.2, 0.0))  # pitch, yaw added to a frontal camera


@torch.no_grad()
def snapshot(generator: Generator, prior: LabelPrior, preset: Preset) -> UInt8[np.ndarray, "h w 3"]:
    """Return a grid: the camera of the label, four tilted cameras, the face camera."""
    device = next(generator.parameters()).device
    codes = Codes(*(values.to(device) for values in prior.draw(range(PEOPLE), Purpose.SNAPSHOT)))
    own = make_pictures(generator, codes, preset)
    columns = [own.portrait_B3HW]
    for tilt in TILTS_RAD:
        camera = torch.full_like(codes.camera_B2, np.pi / 2) + codes.camera_B2.new_tensor(tilt)
        columns.append(make_pictures(generator, codes._replace(camera_B2=camera), preset).portrait_B3HW)
    columns.append(_padded(own.face_B3HW, own.portrait_B3HW.shape[-1]))
    rows = torch.cat([torch.cat(list(row), 2) for row in zip(*columns, strict=True)], 1)
    return ((rows.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()


def snapshot_png(generator: Generator, prior: LabelPrior, preset: Preset) -> bytes:
    return encode_png(snapshot(generator, prior, preset))


def _padded(image_B3HW: Tensor, side: int) -> Tensor:
    """White around smaller pictures, nothing resampled."""
    missing = side - image_B3HW.shape[-1]
    before, after = missing // 2, missing - missing // 2
    return torch.nn.functional.pad(image_B3HW, (before, after, before, after), value=1.0)
