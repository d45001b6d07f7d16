"""EG3D's layout, as a folder; and GGHead's, which is the same in a zip, beside one with masks of the same names.

00000/img00000000.png ... and dataset.json: {"labels": [[path, 25 numbers], ...]}, 16 of the camera's matrix (camera to
world, OpenCV axes, row-major) and 9 of its intrinsics, normalised by the image size; beside them
"sampling_weights": [[path, weight or null], ...], which the trainers' own loaders do not read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from dataprep.pictures.codecs import decode_mask, decode_rgb, encode_png
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from dataprep.tables.store import atomic_file
from gan.data.mirror import mirror_image
from pipelines.commands.layouts.layout_base import Choices, Sample, TrainerLayout, archive, write_bytes
from pipelines.commands.layouts.trainer_cameras import EG3D_RAYS, numbers25, radius_of

LABELS_FILE = "dataset.json"
GGHEAD_IMAGES, GGHEAD_MASKS = "portraits.zip", "portraits_masks_modnet.zip"  # the second is named after the first
_IMAGES_A_FOLDER = 1000  # as EG3D's own data set tool
_NEAR, _FAR = EG3D_RAYS

_README = """# For {trainer}

{count} pictures with camera labels. Camera at {radius:.4g} units from the look-at point, field of view 12 degrees.

Tell the trainer:

{told}
"""
_RAYS_FIT = (
    f"- nothing about rays: EG3D's FFHQ settings (ray_start {_NEAR}, ray_end {_FAR}, box_warp 1) hold the subject. "
    "`--gen_pose_cond=True` and `--cfg=ffhq` as its authors do.\n"
    "- its average camera for truncation and pictures: radius 2.7, pivot (0, 0, 0) in the place of (0, 0, 0.2)."
)
_RAYS_OURS = (
    f"- `ray_start` 1.675 and `ray_end` 2.115: its own {_NEAR} to {_FAR} begin behind the subject. "
    "Or export again with `--camera eg3d`.\n"
    "- `avg_camera_radius` 1.895 and `avg_camera_pivot` (0, 0, 0)."
)
_NO_FLIP = "- `--mirror=False`: EG3D's flips pictures and leaves their labels. To have both, export with `--mirror`."
_FLIPPED = "- `--mirror=False`: mirrored pictures with mirrored labels are here already."


def write_eg3d(target: Path, samples: Iterator[Sample], choices: Choices) -> int:
    """Write EG3D's folder; returns how many samples there were."""
    radius = radius_of(choices.camera, "eg3d")
    labels = _labels(samples, radius, choices.mirror, lambda name, png, _: write_bytes(target / name, png))
    write_bytes(target / "README.md", _readme("EG3D", len(labels["labels"]), radius, choices))
    with atomic_file(target / LABELS_FILE) as file:  # last: its presence says that all images are there
        file.write(json.dumps(labels).encode())
    return len(labels["labels"]) // (1 + choices.mirror)


def write_gghead(target: Path, samples: Iterator[Sample], choices: Choices) -> int:
    """Write GGHead's two archives; returns how many samples there were."""
    radius = radius_of(choices.camera, "eg3d")
    with archive(target / GGHEAD_IMAGES) as add_image, archive(target / GGHEAD_MASKS) as add_mask:

        def add(name: str, png: bytes, mask: bytes) -> None:
            add_image(name, png)
            add_mask(name, mask)

        labels = _labels(samples, radius, choices.mirror, add)
        for put in (add_image, add_mask):
            put(LABELS_FILE, json.dumps(labels).encode())
    masks = f"- `use_masks`, `mask_method='modnet'` and `path` of {GGHEAD_IMAGES}: it finds {GGHEAD_MASKS} by its name."
    write_bytes(target / "README.md", _readme("GGHead", len(labels["labels"]), radius, choices, masks))
    return len(labels["labels"]) // (1 + choices.mirror)


def _labels(
    samples: Iterator[Sample], radius: float, mirror: bool, add: Callable[[str, bytes, bytes], None]
) -> dict[str, Any]:
    """Add every picture and its mask; return the content of dataset.json."""
    labels: list[tuple[str, list[float]]] = []
    weights: list[tuple[str, float | None]] = []
    for row, images in samples:
        for flipped in (False, True)[: 1 + mirror]:
            name = f"{len(labels) // _IMAGES_A_FOLDER:05d}/img{len(labels):08d}.png"
            png, mask = images["portrait"], images["alpha"]
            if flipped:
                png = encode_png(mirror_image(decode_rgb(png)))
                mask = encode_png(mirror_image(decode_mask(mask)))
            add(name, png, mask)
            labels.append((name, numbers25(row, radius, flipped)))
            weights.append((name, row.get(SAMPLING_WEIGHT)))
    return {"labels": labels, "sampling_weights": weights}


def _readme(trainer: str, count: int, radius: float, choices: Choices, more: str = "") -> bytes:
    told = [_RAYS_OURS if radius < _NEAR else _RAYS_FIT, _FLIPPED if choices.mirror else _NO_FLIP, more]
    return _README.format(trainer=trainer, count=count, radius=radius, told="\n".join(filter(None, told))).encode()


EG3D = TrainerLayout(write_eg3d, LABELS_FILE, frozenset({"camera", "mirror"}))
GGHEAD = TrainerLayout(write_gghead, GGHEAD_IMAGES, frozenset({"camera", "mirror"}))
