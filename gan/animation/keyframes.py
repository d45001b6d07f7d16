"""Key frames in .npy files: a folder of ours or of the authors' real videos, or single files, as their program takes.

folder of ours     expression.npy [N, 64]   pose.npy [N, 6, 3]           camera.npy [N, 2]
the authors'       expression.npy [N, 64]   joint_eulers.npy [N, 6, 3]   camera_pose.npy [N, 2]
single files       any of the three, under any name
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dataprep.errors import ConfigError
from dataprep.files.npy_files import read_rows, shape_text
from gan.animation.tracks import SHAPES, Track, neutral_track

FILES = {
    "expression": ("expression.npy",),
    "pose": ("pose.npy", "joint_eulers.npy"),
    "camera": ("camera.npy", "camera_pose.npy"),
}
OPTIONS = {"expression": "--exp-path", "pose": "--pose-path", "camera": "--cam-path"}


class KeyFrames(NamedTuple):
    """Key frames, and what the user should know of how they came about."""

    track: Track
    remark: str


def read_keyframes(folder: Path) -> Track:
    """Read a folder whose three files are equally long; raises ConfigError on what is missing or does not fit."""
    files = {part: _file_of(folder, part) for part in SHAPES}
    arrays = {part: read_rows(path, SHAPES[part], str(path)) for part, path in files.items()}
    lengths = {part: len(rows) for part, rows in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ConfigError(
            f"--keyframes {folder}: frames do not agree ({_lengths_text(lengths)}); expected one N for all, or give "
            f"the files singly, for the frames that all of them have: {' FILE '.join(OPTIONS.values())} FILE"
        )
    return Track(arrays["expression"], arrays["pose"], arrays["camera"])


def read_single_files(files: Mapping[str, Path]) -> KeyFrames:
    """Read files by the names of SHAPES; what has none stays neutral, seen from the front.

    Where lengths differ, frames last as long as the shortest file. Raises ConfigError on what does not fit.
    """
    arrays = {part: read_rows(path, SHAPES[part], f"{OPTIONS[part]} {path}") for part, path in files.items()}
    lengths = {part: len(rows) for part, rows in arrays.items()}
    shortest = min(lengths.values())
    still = neutral_track(shortest)
    neutral = {"expression": still.expression_N64, "pose": still.pose_N63, "camera": still.camera_N2}
    parts = neutral | {part: rows[:shortest] for part, rows in arrays.items()}
    cut = f"of the key frames ({_lengths_text(lengths)}) the first {shortest} were taken, as all files have them"
    track = Track(parts["expression"], parts["pose"], parts["camera"])
    return KeyFrames(track, cut if len(set(lengths.values())) > 1 else "")


def at_intervals(keys: Track, interval: int) -> Track:
    """Return `interval` frames from every key frame on, on the way to the next and from the last to the first.

    As in the authors' program all numbers move on straight lines, joints' angles too, so that frames are theirs;
    `gan.animation.tracks.interpolate` turns joints along the shortest rotation instead.
    """
    key_N = np.repeat(np.arange(len(keys)), interval)
    share_N = np.tile(np.arange(interval) / interval, len(keys))
    a, b = keys.rows(key_N), keys.rows((key_N + 1) % len(keys))
    return Track(
        _between(a.expression_N64, b.expression_N64, share_N),
        _between(a.pose_N63, b.pose_N63, share_N),
        _between(a.camera_N2, b.camera_N2, share_N),
        keys.bases,
    )


def _file_of(folder: Path, part: str) -> Path:
    found = [path for name in FILES[part] if (path := folder / name).is_file()]
    if len(found) == 1:
        return found[0]
    names = " or ".join(FILES[part])
    expected = ", ".join(f"{' or '.join(FILES[one])} {shape_text(SHAPES[one])}" for one in SHAPES)
    what = f"there is no {names}" if not found else f"there are both {names.replace(' or ', ' and ')}"
    raise ConfigError(
        f"--keyframes {folder}: {what}; expected {expected}. Single files go by {', '.join(OPTIONS.values())}"
    )


def _lengths_text(lengths: Mapping[str, int]) -> str:
    return ", ".join(f"{part} {count}" for part, count in lengths.items())


def _between(a_NK: np.ndarray, b_NK: np.ndarray, share_N: np.ndarray) -> np.ndarray:
    share = share_N.reshape(-1, *[1] * (a_NK.ndim - 1))
    return ((1 - share) * a_NK + share * b_NK).astype(np.float32)
