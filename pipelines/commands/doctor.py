"""`shhq-hs doctor`: can this machine build the data set? What was looked at, what is wrong, what to do about it."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dataprep.errors import ShhqError
from dataprep.extras import remedy_for_import, set_up_command
from dataprep.models.known_models import assets_folder, known_assets, state_of
from dataprep.tables.store import atomic_file
from pipelines.commands.probe import probe
from pipelines.json_output import print_json
from pipelines.machine.resources import cores, memory_bytes

GIB = 1 << 30
WORKER_BYTES = 1.5 * GIB  # with every model loaded 0.85 was measured; the rest is for large photographs
_PACKAGES = (
    "torch",
    "numpy",
    "opencv-contrib-python",
    "mediapipe",
    "pillow",
    "pyarrow",
    "pandas",
    "dask",
    "distributed",
)
_FREE_BYTES, _SLOW_MB_S, _SLOW_COMMIT_S = 5 * GIB, 20.0, 0.2
_ANSWER_S = 10.0  # of nvidia-smi; a driver that hangs is no GPU to build with
_TEST_BYTES, _TEST_COMMITS = 32 << 20, 8


@dataclass(frozen=True)
class Diagnosis:
    """One thing looked at. A `problem` keeps a build from working, a `warning` makes it slow or fragile."""

    level: Literal["ok", "warning", "problem"]
    what: str
    advice: str = ""


def doctor(out: Path, with_probe: bool, as_json: bool = False) -> int:
    """Print every finding as it comes; returns 1 when there is a problem."""
    if as_json:
        return _print_json(list(_examine(out, with_probe)))
    problems = 0
    for finding in _examine(out, with_probe):
        problems += finding.level == "problem"
        print(f"  {finding.level:8} {finding.what}", flush=True)
        if finding.advice:
            print(f"  {'':8} -> {finding.advice}", flush=True)
    count = f"{problems} problem{'s' * (problems > 1)} above" if problems else "no problems: this machine can build"
    print(f"\n{count}")
    return 1 if problems else 0


def _print_json(findings: Sequence[Diagnosis]) -> int:
    problems = sum(finding.level == "problem" for finding in findings)
    print_json({"problems": problems, "findings": [asdict(finding) for finding in findings]})
    return 1 if problems else 0


def _examine(out: Path, with_probe: bool) -> Iterator[Diagnosis]:
    yield from _environment()
    yield from _models()
    yield from _machine()
    yield from _disk(out)
    if with_probe:
        yield _end_to_end()


def _environment() -> Iterator[Diagnosis]:
    yield Diagnosis("ok", f"Python {platform.python_version()} on {platform.system()} {platform.machine()}")
    found, missing = [], []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    # A machine without OpenGL libraries has opencv under another name; what counts is that it loads.
    missing = [package for package in missing if package != "opencv-contrib-python"]
    yield Diagnosis("ok", ", ".join(found))
    if missing:
        yield Diagnosis("problem", f"missing packages: {', '.join(missing)}", f"run: {set_up_command()}")
    try:
        torch = [importlib.import_module(package) for package in ("cv2", "mediapipe", "torch")][-1]
        off = importlib.import_module("dataprep.kernels.guard").REASON_OFF
    except ImportError as error:
        yield Diagnosis("problem", f"a package does not load: {error}", f"run: {remedy_for_import(error)}")
        return
    if off:
        slower = "super-resolution and the generator take two to three times as long on a CPU"
        yield Diagnosis("warning", f"no loops in machine code: {off}", f"{slower}; run: {set_up_command()}")
    yield _gpu(torch)


def _gpu(torch: Any) -> Diagnosis:
    """The GPUs that torch uses, or why it uses none of those that are there."""
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        return Diagnosis("ok", f"GPU: {', '.join(names)}")
    idle = _nvidia_gpus()
    if not idle:
        return Diagnosis("ok", "no GPU: super-resolution will take most of the time (superres.model=span is quick)")
    what = f"GPU: {', '.join(idle)}, but torch {torch.__version__} "
    if torch.version.cuda is None:
        release = torch.__version__.split("+")[0]
        index = "https://download.pytorch.org/whl/cu126"
        return Diagnosis("warning", f"{what}is built for CPUs", "run, with the index for your driver (pytorch.org): "
                         f"{sys.executable} -m pip install --force-reinstall --no-deps torch=={release} "
                         f"--index-url {index}")  # fmt: skip
    advice = "compare CUDA Version of `nvidia-smi` with torch's; update the driver, or look at CUDA_VISIBLE_DEVICES"
    return Diagnosis("warning", f"{what}for CUDA {torch.version.cuda} cannot use it", advice)


def _nvidia_gpus() -> list[str]:
    """Names of the GPUs of this machine, whatever torch can use; from the driver's own tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    try:
        told = subprocess.run([tool, "-L"], capture_output=True, text=True, timeout=_ANSWER_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return re.findall(r"^GPU \d+: (.*?)(?: \(UUID|$)", told.stdout, re.MULTILINE)


def _models() -> Iterator[Diagnosis]:
    states = [(asset, state_of(asset)) for asset in known_assets()]
    broken = [(a.filename, state) for a, state in states if a.tier == "free" and state != "found"]
    spoilt = [(a, state) for a, state in states if a.tier == "user" and state.startswith("corrupt")]
    free, user = (sum(a.tier == tier and state == "found" for a, state in states) for tier in ("free", "user"))
    if broken:
        listed = ", ".join(f"{name} is {state}" for name, state in broken)
        yield Diagnosis("problem", f"models: {listed}", f"run: {set_up_command()}")
    else:
        yield Diagnosis("ok", f"models: all {free} of the free tier verified, {user} of your own in {assets_folder()}")
    for asset, state in spoilt:
        yield Diagnosis("warning", f"{asset.path} is {state}", f"fetch it again from {asset.source}, or remove it")


def _machine() -> Iterator[Diagnosis]:
    memory, workers = memory_bytes(), cores()
    fitting = max(1, int(memory / WORKER_BYTES))
    what = f"{workers} cores, {memory / GIB:.1f} GiB memory"
    if memory < WORKER_BYTES:
        yield Diagnosis("problem", what, f"one worker needs about {WORKER_BYTES / GIB:.1f} GiB")
    elif fitting < workers:
        yield Diagnosis(
            "warning", what, f"a worker takes about {WORKER_BYTES / GIB:.1f} GiB: run with --workers {fitting}"
        )
    else:
        yield Diagnosis("ok", what)
    shared = Path("/dev/shm")
    if shared.is_dir():
        size = shutil.disk_usage(shared).total
        advice = "training with loader workers wants more; in Docker: --shm-size=1g" if size < GIB else ""
        yield Diagnosis("warning" if advice else "ok", f"shared memory {size / GIB:.1f} GiB", advice)


def _disk(out: Path) -> Iterator[Diagnosis]:
    folder = next(path for path in (out, *out.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    what = f"{folder}: {free / GIB:.1f} GiB free"
    if free < _FREE_BYTES:
        yield Diagnosis("warning", what, "40,000 photographs take about 60 GB, the samples 0.2 GB")
    else:
        yield Diagnosis("ok", what)
    if free < 4 * _TEST_BYTES:
        yield Diagnosis("problem", f"{folder} is full", "free some space, or choose another --out")
        return
    try:
        with tempfile.TemporaryDirectory(prefix=".shhq-hs-doctor-", dir=folder) as scratch:
            speed_mb_s, commit_s = _write_speed(Path(scratch))
    except (OSError, ShhqError) as error:
        yield Diagnosis(
            "problem", f"{folder} cannot be written: {error}", "fix its permissions, or choose another --out"
        )
        return
    what = f"{folder}: writes {speed_mb_s:.0f} MB/s, {1000 * commit_s:.0f} ms a commit"
    if speed_mb_s < _SLOW_MB_S or commit_s > _SLOW_COMMIT_S:
        yield Diagnosis("warning", what, "a slow disk: a build waits for it; a local disk for --out is better")
    else:
        yield Diagnosis("ok", what)


def _write_speed(folder: Path) -> tuple[float, float]:
    """Megabytes a second of one file with fsync, and seconds of one small atomic commit."""
    block = os.urandom(1 << 20)
    started = time.perf_counter()
    with atomic_file(folder / "large") as file:
        for _ in range(_TEST_BYTES >> 20):
            file.write(block)
    speed = _TEST_BYTES / 1e6 / (time.perf_counter() - started)
    started = time.perf_counter()
    for i in range(_TEST_COMMITS):
        with atomic_file(folder / f"small{i}") as file:
            file.write(block[:4096])
    return speed, (time.perf_counter() - started) / _TEST_COMMITS


def _end_to_end() -> Diagnosis:
    started = time.perf_counter()
    try:
        failure = probe()
    except Exception as error:
        failure = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - started
    if failure:
        return Diagnosis("problem", f"one photograph through all stages: {failure}", f"run: {set_up_command()}")
    return Diagnosis("ok", f"one photograph through all stages, in a worker of its own, in {seconds:.0f} s")
