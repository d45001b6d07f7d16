"""D_p: smooths the field of inverse skinning transforms (Eq. 11) and doubles its resolution.

Suffixes: B batch, C channels (the rows of a 4 x 4 matrix), D H W depth, height, width.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

KERNEL_DHW = (5, 9, 9)  # the released code's
PAD_WHD = (4, 4, 4, 4, 2, 2)


class _Average(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels, 1, *KERNEL_DHW), 1 / (5 * 9 * 9)))

    def forward(self, field_BCDHW: Tensor) -> Tensor:
        channels = field_BCDHW.shape[1]
        if self._leaves_as_is():
            return field_BCDHW
        kernel = self.weight[:channels] / self.weight[:channels].sum((2, 3, 4), keepdim=True)
        padded = F.pad(field_BCDHW, PAD_WHD, mode="reflect")
        # Depthwise 3D convolution: channels_last_3d halves its time on a CPU.
        padded = padded.contiguous(memory_format=torch.channels_last_3d)
        return F.conv3d(padded, kernel, groups=channels)

    def _leaves_as_is(self) -> bool:
        """Whether the kernels are single ones, as in presets without pose smoothing. A GPU is not asked: it would wait.

        Such a convolution changes nothing and takes a third of the time in which rays reach the neutral pose.
        """
        if self.weight.device.type != "cpu" or self.weight.requires_grad:
            return False
        centre = self.weight[:, 0, KERNEL_DHW[0] // 2, KERNEL_DHW[1] // 2, KERNEL_DHW[2] // 2]
        return bool(centre.all()) and int(self.weight.count_nonzero()) == len(centre)


class PoseSmoothing(nn.Module):
    """Two depthwise 3D convolutions whose kernels sum to one, a trilinear x2 upsampling between; starts as an average.

    Channels are independent, so a caller who needs only the first rows of the matrices passes only those.
    """

    def __init__(self, channels: int = 16) -> None:
        super().__init__()
        self.conv_block1 = _Average(channels)
        self.conv_block2 = _Average(channels)

    def forward(self, field_BCDHW: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b c d2 h2 w2"]:
        smooth = self.conv_block1(field_BCDHW)
        return self.conv_block2(F.interpolate(smooth, scale_factor=2, mode="trilinear", align_corners=False))
