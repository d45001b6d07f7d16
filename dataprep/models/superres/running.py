"""How a super-resolution network is run: on which arithmetic, in loops of machine code or torch, how many at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from dataprep.errors import ConfigError
from dataprep.kernels import guard, processor
from dataprep.kernels.vectors import BFLOAT16_PRODUCTS
from dataprep.models.superres.rrdbnet import RRDBNet
from dataprep.models.superres.rrdbnet_tiled import TiledRRDBNet
from dataprep.models.superres.span import SPAN
from dataprep.models.superres.srvgg import SRVGGNetCompact
from dataprep.models.superres.superres_files import Precision

Network = RRDBNet | SRVGGNetCompact | SPAN
Run = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b 3 4*h 4*w"]]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_TENSOR_CORES = (7, 0)  # the first compute capability that multiplies float16 in them
# What torch holds at once of a window of RRDBNet, the larger of the two networks, in numbers for every pixel of the
# input: the last layers' images of 64 channels at sixteen times the pixels, two in half precision and one in float32,
# and another to work in; before them what a dense block concatenates (512 channels).
_NUMBERS_PER_PIXEL = 5 * 64 * 16 + 512
_FREE_SHARE = 0.7  # of the GPU's free memory: cuDNN wants room to work in, too


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the arithmetic: `auto` is half the precision where the hardware has it, and float32 elsewhere.

    On a CPU that is bfloat16 (52-55 dB from float32), on a GPU float16: as fast there, and 71 dB from float32 (x4plus,
    a face of 48 px). A CPU computes in float16 fourteen times as slowly as in bfloat16, so there it is an error.
    """
    if precision == "float16" and device.type == "cpu":
        raise ConfigError("precision 'float16' needs a GPU: on a CPU use auto, float32 or bfloat16")
    if precision != "auto":
        try:
            return DTYPES[precision]
        except KeyError:
            raise ConfigError(f"precision {precision!r}: expected auto, {', '.join(DTYPES)}") from None
    if device.type == "cuda":
        return torch.float16 if torch.cuda.get_device_capability(device) >= _TENSOR_CORES else torch.float32
    return torch.bfloat16 if processor.multiplies_bfloat16() else torch.float32


def runner(network: Network, device: torch.device, dtype: torch.dtype) -> Run:
    """Return what runs a network, in loops of machine code where those are there and faster, else in torch."""
    if isinstance(network, RRDBNet) and runs_in_loops(device, dtype):
        return in_loops(network, dtype)
    return in_torch(network, device, dtype)


def in_loops(network: RRDBNet, dtype: torch.dtype) -> Run:
    tiled = TiledRRDBNet(network, dtype)
    return lambda images_B3HW: torch.stack([tiled(image_3HW) for image_3HW in images_B3HW])


def in_torch(network: Network, device: torch.device, dtype: torch.dtype) -> Run:
    """Return what runs the network itself, which is changed: what bands a picture stays in float32."""
    network.to(device)
    network.lower(dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return lambda images_B3HW: network(images_B3HW.contiguous(memory_format=torch.channels_last))


def runs_in_loops(device: torch.device, dtype: torch.dtype) -> bool:
    """Say whether RRDBNet runs in tiles. It depends on the processor alone, so that a machine always gives one result.

    Float32 is 2.4 times as fast as in torch, bfloat16 1.8 times where the CPU has its products. AMX multiplies bfloat16
    many times faster than vectors do, and torch knows how: there fewer multiplications are no gain.
    """
    if device.type != "cpu" or not guard.ON:
        return False
    multiplies_bfloat16 = BFLOAT16_PRODUCTS and not processor.has_amx()
    return dtype == torch.float32 or (dtype == torch.bfloat16 and multiplies_bfloat16)


@torch.inference_mode()
def enlarged(
    run: Run, windows: Sequence[UInt8[Tensor, "3 h w"]], device: torch.device, dtype: torch.dtype
) -> Iterator[UInt8[Tensor, "3 large_h large_w"]]:
    """Enlarge pictures of equal size, on a GPU as many at once as its free memory holds."""
    waiting = list(windows)
    most = min(len(waiting), windows_at_once(waiting[0].shape[1:].numel(), dtype, _free_bytes(device)))
    while waiting:
        images = torch.stack(waiting[:most]).to(device).float() / 255
        try:
            yield from run(images).clamp_(0, 1).mul_(255).round_().to(torch.uint8).cpu()
        except torch.OutOfMemoryError:
            if most == 1:
                raise
            most //= 2  # others use the GPU, too
        else:
            del waiting[:most]


def _free_bytes(device: torch.device) -> int | None:
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


def windows_at_once(pixels: int, dtype: torch.dtype, free_bytes: int | None) -> int:
    """Return how many windows of so many pixels to run together: one where memory has no bound, on a CPU."""
    if free_bytes is None:
        return 1
    return max(1, int(_FREE_SHARE * free_bytes) // (_NUMBERS_PER_PIXEL * dtype.itemsize * pixels))
