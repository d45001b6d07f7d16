"""ONNX files of the user's own, run by onnxruntime: an extra, imported here alone, by the process that works."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dataprep.errors import AssetError, ConfigError
from dataprep.extras import require_extra

if TYPE_CHECKING:
    import onnxruntime

TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def open_session(path: Path, setting: str, device: str, device_setting: str) -> onnxruntime.InferenceSession:
    """A session on the GPU where onnxruntime has one, else on one core: workers are parallel, and bytes stay equal.

    `setting` named the file, `device_setting` the device: errors repeat them.
    """
    require_extra("onnxruntime", f"{setting}={path}")
    import onnxruntime

    if device not in ("auto", "cpu") and not device.startswith("cuda"):
        raise ConfigError(f"{device_setting} is {device!r}, expected auto, cpu or cuda")
    has_gpu = "CUDAExecutionProvider" in onnxruntime.get_available_providers()
    if device.startswith("cuda") and not has_gpu:
        raise ConfigError(
            f"{device_setting}=cuda: this onnxruntime has no CUDA; pip install onnxruntime-gpu, or use auto"
        )
    providers = ["CUDAExecutionProvider"] if has_gpu and device != "cpu" else []
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[*providers, "CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AssetError(f"{setting}={path}: not an ONNX file that onnxruntime reads ({reason})") from error


def described(values: Sequence[Any]) -> str:
    """Names, types and shapes of a file's inputs or outputs, as errors tell them."""
    return ", ".join(f"{v.name} ({v.type}, {' x '.join(str(n) for n in v.shape)})" for v in values) or "none"
