"""The network behind the likeness: a residual network of 29 convolutions that says who a face is in 32 numbers.

It is Davis King's `dlib_face_recognition_resnet_model_v1`: two pictures of one person come out close to each other, by
what it was trained for. Its batch normalisations are multiplied into the convolutions, and its last layer keeps
the directions that tell people apart better than views of one person (tools/standins/derive_likeness.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dataprep.models.face.likeness_file import likeness_arrays

_MEAN_RGB = (122.782, 117.001, 104.298)  # of the photographs that it was trained on
_GREY_LEVELS = 256
WIDTHS = (32, 32, 32, 32, 64, 64, 64, 64, 128, 128, 128, 256, 256, 256, 256)  # of the stem, then of each block
HALVING = (3, 7, 10, 13)  # blocks that halve the picture


class LikenessBlock(nn.Module):
    """Two convolutions beside a shortcut; where the block halves the picture, the shortcut is its 2 x 2 means."""

    def __init__(self, wide_in: int, wide: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.first = nn.Conv2d(wide_in, wide, 3, stride=2) if halves else nn.Conv2d(wide_in, wide, 3, padding=1)
        self.second = nn.Conv2d(wide, wide, 3, padding=1)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        deep = self.second(F.relu(self.first(x)))
        if not self.halves:
            return F.relu(deep + x)
        return F.relu(sum_of_unlike(deep, F.avg_pool2d(x, 2)))


def sum_of_unlike(a: Float[Tensor, "b c h w"], b: Float[Tensor, "b d i j"]) -> Float[Tensor, "b e k l"]:
    """Add pictures of different size and depth: the smaller one ends in zeros."""
    sizes = [max(pair) for pair in zip(a.shape[1:], b.shape[1:], strict=True)]

    def filled(x: Tensor) -> Tensor:
        missing = [size - have for size, have in zip(sizes, x.shape[1:], strict=True)]
        return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0]))

    return filled(a) + filled(b)


class LikenessNetwork(nn.Module):
    """RGB chips in grey levels -> unit vectors; the distance of two says how unlike two faces are."""

    mean_rgb: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 7, stride=2)
        blocks = enumerate(pairwise(WIDTHS))
        self.blocks = nn.ModuleList(LikenessBlock(*widths, number in HALVING) for number, widths in blocks)
        self.head = nn.Linear(WIDTHS[-1], features, bias=False)
        self.register_buffer("mean_rgb", torch.tensor(_MEAN_RGB)[:, None, None], persistent=False)

    def forward(self, chips: Float[Tensor, "b 3 150 150"]) -> Float[Tensor, "b features"]:
        x = F.relu(self.stem((chips - self.mean_rgb) / _GREY_LEVELS))
        x = F.max_pool2d(x, 3, stride=2)
        for block in self.blocks:
            x = block(x)
        return F.normalize(self.head(x.mean(dim=(2, 3))), dim=1)


class ReadLikeness(NamedTuple):
    """Who a face is, and how sure that is.

    vector: unit vector, the mean of the face's and its mirror image's. self_similarity: the cosine of the two.
    """

    vector: Float[np.ndarray, "32"]
    self_similarity: float


class LikenessReader:
    """The loaded network, for chips one by one."""

    def __init__(self) -> None:
        self._network = network_of(likeness_arrays())

    @torch.inference_mode()
    def __call__(self, chip: UInt8[np.ndarray, "150 150 3"]) -> ReadLikeness:
        """Read a face that `likeness_chip` has cut out."""
        picture = torch.from_numpy(chip).permute(2, 0, 1).float()
        face, mirrored = self._network(torch.stack([picture, picture.flip(2)])).double()
        vector = F.normalize(face + mirrored, dim=0)
        return ReadLikeness(vector.float().numpy(), float(face @ mirrored))


def network_of(arrays: Mapping[str, np.ndarray]) -> LikenessNetwork:
    """Build the network from the arrays of the shipped file."""
    network = LikenessNetwork(len(arrays["head.weight"]))
    network.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return network.eval()
