"""GPUs by name: datasheet figures, and how long counted work takes at an assumed share of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from gan.training.cost.counted_work import Operation

Arithmetic = Literal["float32", "tf32", "bfloat16"]

# Nobody's networks reach the datasheet. Assumed, until `make check-gpu` was run on the GPU in question.
SHARE_OF_PRODUCTS = 0.5
SHARE_OF_BANDWIDTH = 0.7
LAUNCH_S = 5e-6  # the least that an operation takes: small presets wait for nothing else


@dataclass(frozen=True)
class NamedGpu:
    """Dense products, accumulated in float32, in TFLOP/s; memory in GB and GB/s. All from the makers' datasheets."""

    name: str
    memory_gb: int
    float32: float
    tf32: float
    bfloat16: float
    bandwidth_gb_s: int

    def tflops(self, arithmetic: Arithmetic) -> float:
        return {"float32": self.float32, "tf32": self.tf32, "bfloat16": self.bfloat16}[arithmetic]


GPUS = (
    NamedGpu("L4", 24, 30.3, 60.0, 121.0, 300),
    NamedGpu("RTX 3090", 24, 35.6, 35.6, 71.0, 936),
    NamedGpu("RTX 4090", 24, 82.6, 82.6, 165.0, 1008),
    NamedGpu("A100 40 GB", 40, 19.5, 156.0, 312.0, 1555),
    NamedGpu("RTX A6000", 48, 38.7, 77.4, 155.0, 768),
    NamedGpu("L40S", 48, 91.6, 183.0, 362.0, 864),
    NamedGpu("A100 80 GB", 80, 19.5, 156.0, 312.0, 2039),
    NamedGpu("H100", 80, 67.0, 495.0, 989.0, 3350),
    NamedGpu("H200", 141, 67.0, 495.0, 989.0, 4800),
)  # fmt: skip


class Mode(NamedTuple):
    """In what phi, M, D_e and bodies multiply, and in what critics and U do."""

    name: str
    points: Arithmetic
    pictures: Arithmetic


MODES = (
    Mode("float32", "float32", "float32"),
    Mode("TF32", "tf32", "tf32"),
    Mode("TF32, bfloat16", "tf32", "bfloat16"),
)


def seconds_on(gpu: NamedGpu, operations: Iterable[Operation], arithmetic: Arithmetic) -> float:
    """Return the seconds of operations one after another: each waits for its products, for memory, or to begin."""
    products = SHARE_OF_PRODUCTS * gpu.tflops(arithmetic) * 1e12
    memory = SHARE_OF_BANDWIDTH * gpu.bandwidth_gb_s * 1e9 * (2 if arithmetic == "bfloat16" else 1)
    return sum((max(one.flops / products, one.bytes / memory, LAUNCH_S) for one in operations), 0.0)


def gpu_named(said: str) -> NamedGpu | None:
    """Return the GPU that a driver's name means ("NVIDIA A100-SXM4-80GB"), None for one without a row here."""
    words = set(said.upper().replace("-", " ").replace("80GB", "80 GB").replace("40GB", "40 GB").split())
    fitting = [gpu for gpu in GPUS if set(gpu.name.upper().split()) <= words]
    return max(fitting, key=lambda gpu: len(gpu.name), default=None)
