"""Features without a download: the first layers of the super-resolution networks that this project brings.

A network that was trained to tell detail from blur, noise and compression sees what a generator does wrong. What the
distances order, fault by fault, is measured in docs/evaluation.md. They say nothing about faces as such, so they are
never called FID.

`frechet_span` and `kernel_span` read a network of photographs. `frechet_srvgg` and `kernel_srvgg` read one of drawings,
which earlier versions had alone: they stay so that older evaluations have a counterpart.
Suffixes: B batch, H W pixels.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.models.superres.enlarging import load_network
from dataprep.models.superres.span import SPAN
from dataprep.models.superres.srvgg import SRVGGNetCompact

MAX_PX = 128
_SIZES = f"area average to at most {MAX_PX} px, and to half of that"

SPAN_MODEL = "span"
# Of some thirty candidates (after 1 to 6 blocks, or convolutions within them; means, magnitudes, means over a grid),
# means after four blocks had the best of both: they grow with every fault of the table in docs/evaluation.md but
# small bends, while missing people and mixed portraits are not drowned by noise as they are after three.
SPAN_BLOCKS = 4
SPAN_SCALE = 10.0  # brings the features of photographs to about 1, where the kernel distance's cube is not all there is
SPAN_RESIZE = f"{_SIZES} (span features 1)"  # raise with any change to what the numbers mean

SRVGG_MODEL = "animevideov3"
SRVGG_LAYERS = 10  # five convolutions with their activations
SRVGG_SCALE = 0.25
SRVGG_RESIZE = f"{_SIZES} (features 1)"


class SpanFeatures(nn.Module):
    """Pictures in [0, 1] to 96 features: mean activations after four blocks, at two sizes."""

    def __init__(self) -> None:
        super().__init__()
        network = load_network(SPAN_MODEL)
        assert isinstance(network, SPAN)  # SPAN_MODEL is one
        self.network = network.eval().requires_grad_(False)

    def forward(self, image_B3HW: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 96"]:
        means = [self.network.features(level, SPAN_BLOCKS).mean((2, 3)) for level in _pyramid(image_B3HW)]
        return SPAN_SCALE * torch.cat(means, 1)


class SrvggFeatures(nn.Module):
    """Pictures in [0, 1] to 128 features: mean activations after five convolutions, at two sizes."""

    def __init__(self) -> None:
        super().__init__()
        network = load_network(SRVGG_MODEL)
        assert isinstance(network, SRVGGNetCompact)  # SRVGG_MODEL is one
        self.layers = nn.Sequential(*network.body[:SRVGG_LAYERS])
        self.eval().requires_grad_(False)

    def forward(self, image_B3HW: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 128"]:
        means = [self.layers(level).mean((2, 3)) for level in _pyramid(image_B3HW)]
        return SRVGG_SCALE * torch.cat(means, 1)


def _pyramid(image_B3HW: Tensor) -> list[Tensor]:
    side = min(MAX_PX, image_B3HW.shape[-1])
    return [F.adaptive_avg_pool2d(image_B3HW, px) for px in (side, max(2, side // 2))]
