"""A coloured mesh of one identity in canonical space: the expected surface seen along -z, as a height field.

Suffixes: R map pixels, L level sets, V vertices, F faces.
"""

import dataclasses
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8

from dataprep.tables.store import atomic_file
from gan.rendering.compositing import compositing_weights, sample_maps
from gan.rendering.generator import Generator, Identity
from gan.rendering.radiance_maps import map_hits

OPACITY_MIN = 0.5
STEP_MAX = 0.05  # face units in depth across a triangle; more is a silhouette, not a surface


@dataclasses.dataclass(frozen=True, eq=False)
class Mesh:
    """Vertices in face units (x right as the viewer sees it, y up, z to the viewer), counter-clockwise faces."""

    vertices_V3: Float[np.ndarray, "v 3"]
    colours_V3: UInt8[np.ndarray, "v 3"]
    faces_F3: Int[np.ndarray, "f 3"]


@torch.inference_mode()
def canonical_mesh(generator: Generator, identity: Identity, opacity_min: float = OPACITY_MIN) -> Mesh:
    """Return the surface of a neutral portrait: one vertex a map pixel that is more opaque than `opacity_min`."""
    config, maps = generator.config, identity.maps
    hits = map_hits(generator.sample_net, config, maps.low_L4HW, generator.chunk_points())
    side = (config.map_size, config.map_size)
    points_L3HW = hits.points_RL3.unflatten(0, side).permute(2, 3, 0, 1)
    valid_LHW = hits.crossings.valid_RL.unflatten(0, side).permute(2, 0, 1)
    best = maps.low_L4HW if maps.high_L4HW is None else maps.high_L4HW
    rgba_L4HW = sample_maps(best, points_L3HW[:, :2], config.map_half_side)

    order_LHW = torch.where(valid_LHW, -points_L3HW[:, 2], torch.inf).argsort(0)
    alpha_LHW = (rgba_L4HW[:, 3] * valid_LHW).gather(0, order_LHW)
    weights_LHW = torch.zeros_like(alpha_LHW).scatter(0, order_LHW, compositing_weights(alpha_LHW))
    opacity_HW = weights_LHW.sum(0)
    mean = lambda x_L3HW: (x_L3HW * weights_LHW[:, None]).sum(0) / opacity_HW  # noqa: E731
    seen_HW = (opacity_HW > opacity_min).numpy(force=True)
    points_V3 = mean(points_L3HW).permute(1, 2, 0).numpy(force=True)[seen_HW]
    colours_V3 = mean(rgba_L4HW[:, :3]).permute(1, 2, 0).numpy(force=True)[seen_HW]
    faces_F3 = _grid_faces(seen_HW)
    depths = points_V3[faces_F3, 2]
    flat = np.ptp(depths, axis=1) <= STEP_MAX if len(faces_F3) else np.zeros(0, bool)
    return Mesh(points_V3, np.rint(colours_V3 * 255).astype(np.uint8), faces_F3[flat])


def write_ply(path: Path, mesh: Mesh) -> None:
    """Write an ASCII PLY with vertex colours."""
    header = [
        *("ply", "format ascii 1.0", f"element vertex {len(mesh.vertices_V3)}"),
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue")),
        *(f"element face {len(mesh.faces_F3)}", "property list uchar int vertex_indices", "end_header"),
    ]
    vertices = [
        f"{x:.6f} {y:.6f} {z:.6f} {r} {g} {b}"
        for (x, y, z), (r, g, b) in zip(mesh.vertices_V3.tolist(), mesh.colours_V3.tolist(), strict=True)
    ]
    faces = [f"3 {a} {b} {c}" for a, b, c in mesh.faces_F3.tolist()]
    _write(path, header + vertices + faces)


def write_obj(path: Path, mesh: Mesh) -> None:
    """Write an OBJ; colours follow the coordinates on every vertex line, as most viewers read them."""
    vertices = [
        f"v {x:.6f} {y:.6f} {z:.6f} {r / 255:.4f} {g / 255:.4f} {b / 255:.4f}"
        for (x, y, z), (r, g, b) in zip(mesh.vertices_V3.tolist(), mesh.colours_V3.tolist(), strict=True)
    ]
    faces = [f"f {a + 1} {b + 1} {c + 1}" for a, b, c in mesh.faces_F3.tolist()]
    _write(path, vertices + faces)


def _write(path: Path, lines: list[str]) -> None:
    with atomic_file(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def _grid_faces(seen_HW: np.ndarray) -> np.ndarray:
    """Return two triangles for every square of four seen pixels; rows run upwards and columns to the right."""
    index_HW = np.cumsum(seen_HW.ravel()).reshape(seen_HW.shape) - 1
    a, b, c, d = index_HW[:-1, :-1], index_HW[:-1, 1:], index_HW[1:, 1:], index_HW[1:, :-1]
    whole = seen_HW[:-1, :-1] & seen_HW[:-1, 1:] & seen_HW[1:, 1:] & seen_HW[1:, :-1]
    triangles = [np.stack(corners, -1)[whole] for corners in ((a, b, c), (a, c, d))]
    return np.concatenate(triangles).astype(np.int64)
