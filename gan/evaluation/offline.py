"""Features without a download: the first layers of the super-resolution network that this project's packages bring.

A network that was trained to tell blur, noise and compression from detail sees what a generator does wrong. Measured on
the shipped samples at 64 pixels (18 people against 18 others, jittered; distance as multiples of that of the untouched
pictures): blur of 0.5, 1 and 2 px 1.8, 12 and 36; noise of 4, 8, 16 and 32 grey levels 5.7, 12, 25 and 59; nine, four,
two and one people instead of eighteen 2.2, 2.6, 3.2 and 3.4; the mean portrait with noise 83. At 32 pixels a random
network put noise of 8 grey levels at 1.0 and that mean portrait at 2 to 7, where this one has 3.7 and 32.

It says nothing about faces as such, so it is never called FID: its distances are `frechet_srvgg` and `kernel_srvgg`.
Suffixes: B batch, H W pixels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.models.superres.enlarging import load_network
from dataprep.models.superres.srvgg import SRVGGNetCompact
from dataprep.models.superres.superres_files import model_file

MODEL = "animevideov3"
MAX_PX = 128
LAYERS = 10  # five convolutions with their activations
FEATURES = 128
SCALE = 0.25  # brings the features of photographs to about 1, where the kernel distance's cube is not all there is
VERSION = 1  # raise it with any change to what the numbers mean
RESIZE = f"area average to at most {MAX_PX} px, and to half of that (features {VERSION})"


class SrvggFeatures(nn.Module):
    """Pictures in [0, 1] to 128 features: mean activations after five convolutions, at two sizes."""

    def __init__(self) -> None:
        super().__init__()
        network = load_network(MODEL)
        assert isinstance(network, SRVGGNetCompact)  # MODEL is one
        self.layers = nn.Sequential(*network.body[:LAYERS])
        self.eval().requires_grad_(False)

    def forward(self, image_B3HW: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 128"]:
        side = min(MAX_PX, image_B3HW.shape[-1])
        pyramid = [F.adaptive_avg_pool2d(image_B3HW, px) for px in (side, max(2, side // 2))]
        return SCALE * torch.cat([self.layers(level).mean((2, 3)) for level in pyramid], 1)


def weights_sha256() -> str:
    return model_file(MODEL).sha256
