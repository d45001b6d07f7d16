"""Which device a torch model runs on."""

from __future__ import annotations

import torch

from dataprep.errors import ConfigError


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
