"""What machine it is, and how fast it multiplies."""

from __future__ import annotations

import platform
import shutil
import subprocess

import torch

from tools.gpu_check.trial import Numbers, Trial, allow_tf32, seconds_of

_REPEATS = 5


def machine(trial: Trial) -> Numbers:
    """Name the device and its software."""
    said: Numbers = {"torch": torch.__version__, "python": platform.python_version(), "system": platform.system()}
    if not trial.is_gpu:
        return {"name": f"CPU ({platform.machine()})", "threads": torch.get_num_threads(), **said}
    of_device = torch.cuda.get_device_properties(trial.where)
    free, whole = torch.cuda.mem_get_info(trial.where)
    return {
        "name": of_device.name,
        "compute_capability": f"{of_device.major}.{of_device.minor}",
        "memory_gb": whole / 1e9,
        "free_gb": free / 1e9,
        "driver": _driver(),
        "cuda": torch.version.cuda or "none",
        "cudnn": torch.backends.cudnn.version() or 0,
        **said,
    }


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return answer.stdout.strip().split("\n")[0] or "unknown"


def products(trial: Trial) -> Numbers:
    """Measure square matrix products, in TFLOP/s: what no network exceeds here."""
    side = 256 if trial.is_tiny else 8192
    kinds = {"float32": (torch.float32, False), "bfloat16": (torch.bfloat16, False)}
    if trial.is_gpu:
        kinds["tf32"] = (torch.float32, True)
    return {f"{name}_tflops": _rate(side, *kind, trial.where) for name, kind in kinds.items()}


def _rate(side: int, dtype: torch.dtype, tf32: bool, where: torch.device) -> float:
    allow_tf32(tf32)
    left = torch.randn(side, side, device=where, dtype=dtype)
    product = torch.empty_like(left)
    work = lambda: torch.mm(left, left, out=product)  # noqa: E731
    work()
    return 2 * side**3 / seconds_of(work, where, _REPEATS) / 1e12
