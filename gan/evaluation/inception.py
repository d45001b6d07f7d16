"""The Inception network of FID (TensorFlow's 2015-12-05 graph), own code, with the names of the converted weights.

`pt_inception-2015-12-05-6726825d.pth` (pytorch-fid) and `weights-inception-2015-12-05-6726825d.pth` (torch-fidelity)
are one file under two names. Differences from torchvision's Inception: average pooling does not count its padding, the
last block pools by maximum, 1008 classes.

Suffixes: B batch, H W pixels.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dataprep.models.torch_checkpoints import load_weights, read_checkpoint

FEATURES, INPUT_PX = 2048, 299
CLASSES = 1008
FILES = ("pt_inception-2015-12-05-6726825d.pth", "weights-inception-2015-12-05-6726825d.pth")
KNOWN_SHA256_START = "6726825d"  # of the published file, as torch's hub names files
SOURCE = "github.com/mseitzer/pytorch-fid/releases (fid_weights) or github.com/toshas/torch-fidelity/releases"

Size = int | tuple[int, int]
Layer = tuple[str, int, Size | list[Size], int]  # name's end, outputs, kernel, stride; a pair "_2a|_2b" has two kernels


class ConvBlock(nn.Module):
    """Convolution without bias, batch norm, ReLU; `padded` keeps the size."""

    def __init__(self, inputs: int, outputs: int, kernel: Size, stride: int = 1, padded: bool = True) -> None:
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (height // 2, width // 2) if padded else 0
        self.conv = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side, their outputs stacked in the order given.

    A branch is a chain of convolutions by name; a pair of names are two side by side. `pool` is what the last branch
    does: with a convolution named branch_pool after it, or, in strided blocks, by itself.
    """

    def __init__(self, inputs: int, branches: dict[str, list[Layer]], pool: str, pool_outputs: int = 0) -> None:
        super().__init__()
        self.pool, self.chains = pool, []
        for branch, layers in branches.items():
            width, chain = inputs, []
            for suffix, outputs, kernel, stride in layers:
                names = [f"{branch}{one}" for one in suffix.split("|")]
                kernels = kernel if isinstance(kernel, list) else [kernel]
                for name, one in zip(names, kernels, strict=True):
                    self.add_module(name, ConvBlock(width, outputs, one, stride, padded=stride == 1))
                width = outputs
                chain.append(names)
            self.chains.append(chain)
        if pool_outputs:
            self.branch_pool = ConvBlock(inputs, pool_outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*(self._through(chain, x) for chain in self.chains), self._pooled(x)], 1)

    def _through(self, chain: list[list[str]], x: Tensor) -> Tensor:
        for names in chain:
            x = torch.cat([self.get_submodule(name)(x) for name in names], 1)
        return x

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "strided":
            return F.max_pool2d(x, 3, 2)
        if self.pool == "max":
            return self.branch_pool(F.max_pool2d(x, 3, 1, 1))
        return self.branch_pool(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))


ROW, COLUMN = (1, 7), (7, 1)  # kernels: seven wide, seven high


def _mixed_5(inputs: int, pool_outputs: int) -> Mixed:
    branches: dict[str, list[Layer]] = {
        "branch1x1": [("", 64, 1, 1)],
        "branch5x5": [("_1", 48, 1, 1), ("_2", 64, 5, 1)],
        "branch3x3dbl": [("_1", 64, 1, 1), ("_2", 96, 3, 1), ("_3", 96, 3, 1)],
    }
    return Mixed(inputs, branches, "average", pool_outputs)


def _mixed_6(width: int) -> Mixed:
    branches: dict[str, list[Layer]] = {
        "branch1x1": [("", 192, 1, 1)],
        "branch7x7": [("_1", width, 1, 1), ("_2", width, ROW, 1), ("_3", 192, COLUMN, 1)],
        "branch7x7dbl": [
            *(("_1", width, 1, 1), ("_2", width, COLUMN, 1), ("_3", width, ROW, 1)),
            *(("_4", width, COLUMN, 1), ("_5", 192, ROW, 1)),
        ],
    }
    return Mixed(768, branches, "average", 192)


def _mixed_7(inputs: int, pool: str) -> Mixed:
    pair: list[Size] = [(1, 3), (3, 1)]
    branches: dict[str, list[Layer]] = {
        "branch1x1": [("", 320, 1, 1)],
        "branch3x3": [("_1", 384, 1, 1), ("_2a|_2b", 384, pair, 1)],
        "branch3x3dbl": [("_1", 448, 1, 1), ("_2", 384, 3, 1), ("_3a|_3b", 384, pair, 1)],
    }
    return Mixed(inputs, branches, pool, 192)


class Inception(nn.Module):
    """Pictures of 299 x 299 in [-1, 1] to 2048 features; `fc` is there for the weights' sake."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvBlock(3, 32, 3, 2, padded=False)
        self.Conv2d_2a_3x3 = ConvBlock(32, 32, 3, padded=False)
        self.Conv2d_2b_3x3 = ConvBlock(32, 64, 3)
        self.Conv2d_3b_1x1 = ConvBlock(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvBlock(80, 192, 3, padded=False)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _mixed_5(192, 32), _mixed_5(256, 64), _mixed_5(288, 64)
        narrow: dict[str, list[Layer]] = {
            "branch3x3": [("", 384, 3, 2)],
            "branch3x3dbl": [("_1", 64, 1, 1), ("_2", 96, 3, 1), ("_3", 96, 3, 2)],
        }
        self.Mixed_6a = Mixed(288, narrow, "strided")
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = (_mixed_6(width) for width in (128, 160, 160, 192))
        last: dict[str, list[Layer]] = {
            "branch3x3": [("_1", 192, 1, 1), ("_2", 320, 3, 2)],
            "branch7x7x3": [("_1", 192, 1, 1), ("_2", 192, ROW, 1), ("_3", 192, COLUMN, 1), ("_4", 192, 3, 2)],
        }
        self.Mixed_7a = Mixed(768, last, "strided")
        self.Mixed_7b, self.Mixed_7c = _mixed_7(1280, "average"), _mixed_7(2048, "max")
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, image_B3HW: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2048"]:
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(image_B3HW)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))))
        return self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))).mean((2, 3))


def load_inception(path: Path) -> Inception:
    """Read the converted weights; AssetError says what is wrong with the file."""
    network = Inception()
    load_weights(network, read_checkpoint(path, "state_dict", SOURCE), path.name)
    return network.eval().requires_grad_(False)
