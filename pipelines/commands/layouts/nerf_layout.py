"""VHAP's NeRF-style folder, one a person: images, masks, cameras, and FLAME's parameters where the user has its file.

PERSON/transforms_{train,val,test}.json, images/00000_00.png, fg_masks/00000_00.png, flame_param/00000.npz. A photograph
is a time step with one camera. Cameras are camera to world in OpenGL's axes, metres; the world is the person's chest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from dataprep.files.npz_files import write_npz
from dataprep.fits.face.flame_fit import FlameFit
from dataprep.frames import geometry
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.tables.labels import INTRINSICS
from pipelines.commands.layouts.flame_labels import fitted, open_flame
from pipelines.commands.layouts.layout_base import Choices, Sample, TrainerLayout, write_bytes
from pipelines.commands.layouts.trainer_cameras import camera_of

DIVISIONS = ("train", "val", "test")
_README = """# NeRF-style folders with cameras{with_flame}

One folder a person, as VHAP writes them and GaussianAvatars reads them: {people} of {count} photographs.

- each photograph is a time step with one camera: a trainer that wants several views of one moment finds none here.
- pictures lie on white (`--white_background`), masks in `fg_masks`; validation in `transforms_val.json`.
{told}
"""
_FLAME = (
    "- `flame_param/*.npz`: 300 shape, 100 expression, rotation, neck (at rest), jaw and eyes as rotation vectors, "
    "and the translation, metres. Each photograph has its own shape; the first 100 and 50 are fitted, the others are 0."
)
_NO_FLAME = "- no FLAME parameters: for them, export with `--flame` and `--flame-landmarks`."


def write_nerf(target: Path, samples: Iterator[Sample], choices: Choices) -> int:
    """Write the folders; returns how many samples there were. Raises ConfigError, AssetError for FLAME's files."""
    flame = open_flame(choices)
    frames: dict[str, list[dict[str, Any]]] = {}
    for row, images in samples:
        of_person = frames.setdefault(row.get("person") or row["sample_id"], [])
        frame = _frame(row, len(of_person), flame is not None)
        folder = target / (row.get("person") or row["sample_id"])
        write_bytes(folder / frame["file_path"], images["portrait"])
        write_bytes(folder / frame["fg_mask_path"], images["alpha"])
        if flame is not None:
            (folder / "flame_param").mkdir(exist_ok=True)
            write_npz(folder / frame["flame_param_path"], flame_param(row, fitted(flame, row)))
        of_person.append(frame | {"split": row["split"]})
    for person, listed in frames.items():
        for division in ("", *DIVISIONS):
            name = f"transforms_{division}.json" if division else "transforms.json"
            write_bytes(target / person / name, json.dumps(_division(listed, division)).encode())
    count = sum(map(len, frames.values()))
    said = {"with_flame": " and FLAME", "told": _FLAME} if flame else {"with_flame": "", "told": _NO_FLAME}
    write_bytes(target / "README.md", _README.format(people=len(frames), count=count, **said).encode())
    return count


def flame_param(row: Mapping[str, Any], fit: FlameFit) -> dict[str, np.ndarray]:
    """Return VHAP's arrays of a time step, moved from the camera's axes into the world of the camera labels."""
    world = _opengl_camera(row)
    turn = world[:3, :3] @ Rotation.from_rotvec(fit.rotation).as_matrix()
    # points are R (v - root) + root + t: the root stays where the whole motion takes it
    place = world[:3, :3] @ (fit.root + fit.translation) + world[:3, 3] - fit.root
    arrays = {
        "translation": place, "rotation": Rotation.from_matrix(turn).as_rotvec(), "neck_pose": np.zeros(3),
        "jaw_pose": fit.jaw, "eyes_pose": fit.eyes, "expr": fit.expression,
    }  # fmt: skip
    return {name: np.asarray(value, np.float32)[None] for name, value in arrays.items()} | {"shape": fit.shape}


def _opengl_camera(row: Mapping[str, Any]) -> np.ndarray:
    """Camera to world, OpenGL axes, metres."""
    matrix = camera_of(row, geometry.BODY_UNIT_M)
    matrix[:3, :3] = matrix[:3, :3] @ CAM_FROM_GL
    return matrix


def _frame(row: Mapping[str, Any], step: int, with_flame: bool) -> dict[str, Any]:
    side, name = geometry.PORTRAIT_PX, f"{step:05d}_00.png"
    focal_px = float(row[INTRINSICS][0, 0]) * side
    angle = 2 * math.atan(side / (2 * focal_px))
    return {
        "timestep_index": step, "timestep_index_original": step, "timestep_id": row["sample_id"],
        "camera_index": 0, "camera_id": "0", "cx": side / 2, "cy": side / 2, "fl_x": focal_px, "fl_y": focal_px,
        "h": side, "w": side, "camera_angle_x": angle, "camera_angle_y": angle,
        "transform_matrix": _opengl_camera(row).round(7).tolist(),
        "file_path": f"images/{name}", "fg_mask_path": f"fg_masks/{name}",
        **({"flame_param_path": f"flame_param/{step:05d}.npz"} if with_flame else {}),
    }  # fmt: skip


def _division(frames: list[dict[str, Any]], division: str) -> dict[str, Any]:
    """The json of a division; "": all. Its time steps are numbered without gaps, as VHAP's loader wants them."""
    chosen = [frame for frame in frames if division in ("", frame["split"])]
    kept = [{name: value for name, value in frame.items() if name != "split"} for frame in chosen]
    shared = ("cx", "cy", "fl_x", "fl_y", "h", "w", "camera_angle_x", "camera_angle_y")
    return {
        "frames": [frame | {"timestep_index": i} for i, frame in enumerate(kept)],
        **({name: kept[0][name] for name in shared} if kept else {}),
        "timestep_indices": list(range(len(kept))),
        "camera_indices": [0] if kept else [],
    }


NERF = TrainerLayout(write_nerf, "README.md", frozenset({"flame", "flame_landmarks"}))
