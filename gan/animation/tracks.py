"""What drives frames: expression, pose and camera a frame; reading them, drawing a way between them.

A track is a parquet file with the columns of a data set (`bfm_exp`, `joints_zyx`, `camera_pitch_yaw`), so that a
manifest or a shard's twin is a track as it is; `gan.animation.keyframes` reads .npy files. Suffixes: N frames, digits
literal sizes.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError, StoreError
from dataprep.tables.labels import BASES, BFM_EXP, CAMERA_PITCH_YAW, JOINTS_ZYX, label
from dataprep.tables.sealed import identity, open_table
from gan.checkpoint import Bases
from gan.errors import BasisError

COLUMNS = {"expression": BFM_EXP, "pose": JOINTS_ZYX, "camera": CAMERA_PITCH_YAW}
SHAPES = {what: label(name).shape for what, name in COLUMNS.items()}
ORBIT_YAW_RAD, ORBIT_PITCH_RAD = 0.4, 0.12


@dataclasses.dataclass(frozen=True, eq=False)
class Track:
    """Frames at equal steps of time. Pose: ZYX Euler angles, radians, of joints 12..17 against the canonical pose;
    camera: pitch and yaw, radians, both pi/2 in front. `bases` None: the file does not say."""

    expression_N64: Float[np.ndarray, "n 64"]
    pose_N63: Float[np.ndarray, "n 6 3"]
    camera_N2: Float[np.ndarray, "n 2"]
    bases: Bases | None = None

    def __len__(self) -> int:
        return len(self.camera_N2)

    def rows(self, index: Sequence[int] | np.ndarray | slice) -> "Track":
        return dataclasses.replace(
            self,
            expression_N64=self.expression_N64[index],
            pose_N63=self.pose_N63[index],
            camera_N2=self.camera_N2[index],
        )


def neutral_track(frames: int) -> Track:
    """Return the canonical pose without expression, seen from the front."""
    zeros = {name: np.zeros((frames, *shape), np.float32) for name, shape in SHAPES.items()}
    return Track(zeros["expression"], zeros["pose"], zeros["camera"] + np.float32(np.pi / 2))


def read_track(path: Path) -> Track:
    """Read a parquet track: in the order of its column `frame` where it has one; only `selected` rows of a manifest."""
    table = read_labels(path, f"--track {path}", COLUMNS.values())
    if "frame" in table.column_names:
        table = table.sort_by("frame")
    if not len(table):
        raise ConfigError(f"--track {path}: no frames; expected a row a frame")
    arrays = {name: matrix(table, column, SHAPES[name], path) for name, column in COLUMNS.items()}
    return Track(arrays["expression"], arrays["pose"], arrays["camera"], bases_of(table, path))


def interpolate(keys: Track, frames: int) -> Track:
    """Return `frames` frames from the first key frame to the last, key frames at equal steps of time.

    Codes and camera move on straight lines, every joint along the shortest rotation; a frame that falls on a key frame
    is that key frame.
    """
    position = np.arange(frames) * ((len(keys) - 1) / max(frames - 1, 1))
    nearest = np.rint(position)
    on_key = np.abs(position - nearest) < 1e-9
    before = np.where(on_key, nearest, position).astype(int)
    fraction = np.where(on_key, 0, position - before)
    a, b = keys.rows(before), keys.rows(np.minimum(before + 1, len(keys) - 1))
    turned_N63 = _slerp_zyx(a.pose_N63, b.pose_N63, fraction)
    return Track(
        _lerp(a.expression_N64, b.expression_N64, fraction),
        np.where(on_key[:, None, None], a.pose_N63, turned_N63),
        _lerp(a.camera_N2, b.camera_N2, fraction),
        keys.bases,
    )


def orbit(track: Track) -> Track:
    """Return the track seen by a camera that goes once around the front on an ellipse, and closes."""
    angle_N = 2 * np.pi * np.arange(len(track)) / len(track)
    pitch_yaw = np.stack([ORBIT_PITCH_RAD * np.sin(angle_N), -ORBIT_YAW_RAD * np.cos(angle_N)], -1)
    return dataclasses.replace(track, camera_N2=(np.pi / 2 + pitch_yaw).astype(np.float32))


# -- label tables, shared with gan.animation.animate_labels


def read_labels(path: Path, what: str, columns: Iterable[str], also: Iterable[str] = ()) -> pa.Table:
    """Read the rows of a label table that are in the data set; raises ConfigError naming columns it lacks.

    Columns of `also` come too where the table has them.
    """
    wanted = list(columns)
    try:
        identity(path)  # every byte of a table that we wrote
        with open_table(path) as file:
            names = set(file.schema_arrow.names)
            if missing := ", ".join(name for name in wanted if name not in names):
                raise ConfigError(f"{what}: no column {missing}; expected {', '.join(wanted)}, as `shhq-hs run` writes "
                                  "them")  # fmt: skip
            optional = [n for n in ("frame", "selected", *also, *BASES) if n in names]
            table = file.read(list(dict.fromkeys([*wanted, *optional])))
    except StoreError as error:
        raise ConfigError(f"{what}: not a parquet file that can be read ({error})") from error
    return table.filter(table["selected"]) if "selected" in names else table


def matrix(table: pa.Table, column: str, shape: tuple[int, ...], path: Path) -> np.ndarray:
    """Return a list column as float32 (rows, *shape), all finite; ConfigError names the first row that does not fit."""
    size = int(np.prod(shape))
    rows = table[column].to_pylist()
    for number, row in enumerate(rows):
        if row is None or len(row) != size:
            found = "null" if row is None else f"{len(row)} numbers"
            raise ConfigError(f"{path}: column {column}, row {number} holds {found}, expected {size} numbers")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
        values = np.asarray(rows, np.float32).reshape(len(rows), *shape)
    finite = np.isfinite(values.reshape(len(rows), size)).all(1)
    if not finite.all():
        raise ConfigError(f"{path}: column {column}, row {int(np.argmin(finite))} is not finite as float32")
    return values


def bases_of(table: pa.Table, path: Path) -> Bases | None:
    """Return the models behind the rows, None where the file does not name them; raises BasisError if they mix."""
    if not set(BASES) <= set(table.column_names) or not len(table):
        return None
    found = set(zip(*(table[name].to_pylist() for name in BASES), strict=True))
    if len(found) > 1:
        models = sorted({f"{body} + {face}" for body, _, face, _ in found})
        raise BasisError(f"{path}: rows of different models ({'; '.join(models)}) never mix: build it with one of each")
    return Bases(*found.pop())


def _lerp(a: np.ndarray, b: np.ndarray, fraction_N: np.ndarray) -> np.ndarray:
    return (a + (b - a) * fraction_N[:, None]).astype(np.float32)


def _slerp_zyx(a_N63: np.ndarray, b_N63: np.ndarray, fraction_N: np.ndarray) -> Float[np.ndarray, "n 6 3"]:
    """Turn each joint from a to b by a part of the rotation between them."""
    start, end = (Rotation.from_euler("ZYX", x.reshape(-1, 3).astype(np.float64)) for x in (a_N63, b_N63))
    turn = (start.inv() * end).as_rotvec() * np.repeat(fraction_N, a_N63.shape[1])[:, None]
    return (start * Rotation.from_rotvec(turn)).as_euler("ZYX").reshape(a_N63.shape).astype(np.float32)
