"""Which device a torch model runs on."""

from __future__ import annotations

import torch

from dataprep.errors import ConfigError


def gpu_wish(device: str) -> dict[str, float]:
    """Worker resources of a stage that runs a network on `device`: one GPU, unless the user wants the CPU.

    Where no worker offers a GPU the wish is dropped, and `auto` means the CPU.
    """
    return {} if device == "cpu" else {"GPU": 1.0}


def resolve_device(device: str) -> torch.device:
    """`auto` is the GPU when there is one; ConfigError for a device that is not here or is none."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(f"device {device!r}: this torch sees no CUDA device; use device=cpu or device=auto")
    try:
        return torch.device(device)
    except RuntimeError as error:
        raise ConfigError(f"device {device!r}: expected auto, cpu or cuda") from error
