"""The convolutional trunk of ResNet-50 (He et al. 2016; stride in the 3x3 layer) with torchvision's key names.

HMR and Deep3DFaceRecon's R-Net both stand on it: conv1, bn1, layer1..layer4, no classifier.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

FEATURES = 2048
_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = _EXPANSION * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d i j"]:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = torch.relu(self.bn1(self.conv1(x)))
        x = torch.relu(self.bn2(self.conv2(x)))
        return torch.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """Images (B, 3, H, W) in, features (B, 2048, H/32, W/32) out by `features`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        inputs = 64
        for level, blocks in enumerate(_BLOCKS):
            width = 64 * 2**level
            layers = [Bottleneck(inputs, width, 1 if level == 0 else 2)]
            inputs = _EXPANSION * width
            layers += [Bottleneck(inputs, width, 1) for _ in range(blocks - 1)]
            self.add_module(f"layer{level + 1}", nn.Sequential(*layers))

    def features(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 2048 i j"]:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(images))))
        for level in range(len(_BLOCKS)):
            x = self.get_submodule(f"layer{level + 1}")(x)
        return x
