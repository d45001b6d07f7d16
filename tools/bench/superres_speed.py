"""Measure super-resolution on this CPU: `python -m tools.bench.superres_speed [--side 128] [--pairs 5] [--json FILE]`.

x4plus on one crop and one thread, in torch and in the loops of dataprep.kernels by turns, so that what else the machine
does meets both. Seconds are of the processor; the ratio is the median of the pairs', with the least and the largest.
Float32 is measured once more with AVX2 alone, in a process of its own, as most processors have no wider vectors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import skimage.data
import torch

from dataprep.kernels.vectors import BFLOAT16_PRODUCTS, LANES
from dataprep.models.superres.enlarging import load_network
from dataprep.models.superres.rrdbnet import RRDBNet
from dataprep.models.superres.running import DTYPES, Run, in_loops, in_torch
from dataprep.tables.store import write_json
from pipelines.commands.summary import table

AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "NUMBA_CPU_NAME": "haswell",
    "NUMBA_CPU_FEATURES": "+avx2,+avx,+fma,+bmi,+bmi2,+f16c",
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=128, help="of the crop, px")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--only", choices=("float32", "bfloat16"), help="measure one and print it as JSON")
    options = parser.parse_args(arguments)
    if options.only:
        print(json.dumps(measured(options.only, options.side, options.pairs)))
        return 0
    given = ["--side", str(options.side), "--pairs", str(options.pairs)]
    kinds: list[tuple[str, dict[str, str]]] = [("float32", {}), ("float32", AVX2)]
    if BFLOAT16_PRODUCTS:
        kinds.append(("bfloat16", {}))
    rows = [_elsewhere(precision, environment, given) for precision, environment in kinds]
    print(f"x4plus, {options.side} px to {4 * options.side} px, one thread; processor seconds")
    print(table(("arithmetic", "torch", "loops", "ratio", "range", "equal", "greys apart"), map(_line, rows)))
    if options.json:
        write_json(options.json, {"superres": rows})
    return 0


def _elsewhere(precision: str, environment: dict[str, str], given: Sequence[str]) -> dict[str, Any]:
    """Measure in a fresh process, whose instructions can be chosen."""
    program = [sys.executable, "-m", "tools.bench.superres_speed", "--only", precision, *given]
    said = subprocess.run(program, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | environment).stdout
    found: dict[str, Any] = json.loads(said)
    return found


@torch.inference_mode()
def measured(precision: str, side_px: int, pairs: int) -> dict[str, Any]:
    """Return seconds of both ways, the ratios of pairs, and how far the pictures differ in grey levels."""
    torch.set_num_threads(1)
    dtype, image = DTYPES[precision], _face(side_px)
    ways = _ways(dtype)
    pictures = [run(image) for run in ways]  # the first call compiles
    seconds = [[_seconds(run, image) for run in ways] for _ in range(pairs)]
    torch_s, loops_s = (statistics.median(way) for way in zip(*seconds, strict=True))
    ratios = [one / other for one, other in seconds]
    greys = [picture.clamp(0, 1).mul(255).round() for picture in pictures]
    return {
        "arithmetic": f"{precision}, vectors of {LANES}",
        "torch_s": torch_s,
        "loops_s": loops_s,
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "equal": float((greys[0] == greys[1]).float().mean()),
        "most_grey_levels_apart": int((greys[0] - greys[1]).abs().max()),
    }


def _ways(dtype: torch.dtype) -> tuple[Run, Run]:
    networks = [load_network("x4plus") for _ in range(2)]
    assert isinstance(networks[1], RRDBNet)
    return in_torch(networks[0], torch.device("cpu"), dtype), in_loops(networks[1], dtype)


def _seconds(run: Run, image: torch.Tensor) -> float:
    started = time.process_time()
    run(image)
    return time.process_time() - started


def _face(side_px: int) -> torch.Tensor:
    rgb = cv2.resize(skimage.data.astronaut()[:256, 100:356], (side_px, side_px), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None].float() / 255


def _line(row: dict[str, Any]) -> tuple[object, ...]:
    least, largest = row["ratio_range"]
    times = f"{row['torch_s']:.2f}", f"{row['loops_s']:.2f}"
    spread = f"{row['ratio']:.2f}", f"{least:.2f} to {largest:.2f}"
    return (row["arithmetic"], *times, *spread, f"{row['equal']:.4%}", row["most_grey_levels_apart"])


if __name__ == "__main__":
    sys.exit(main())
