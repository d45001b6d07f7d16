"""Who is alike among many made-up faces: processor time through cells, and against every pair; a line of JSON.

python -m tools.scale.people_alone FACES [--exact]

Three in ten faces show a person of an earlier one, at a mean cosine of about .9.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence

import numpy as np

from dataprep.face_links import cells_of, links_of_faces, links_within, pivots_of, shared_out
from dataprep.models.face.likeness_file import FEATURES
from dataprep.same_people import distinct_faces
from dataprep.stages.manifest import Manifest

_AGAIN, _SPREAD = 0.3, 0.06
_PAIRS_A_TASK = 1 << 30


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=int)
    parser.add_argument("--exact", action="store_true", help="also compare every pair, and count what cells miss")
    options = parser.parse_args(arguments)
    print(json.dumps(measured(options.faces, options.exact)))
    return 0


def measured(count: int, exact: bool) -> dict[str, float]:
    """Return seconds of processor time and counts; `exact`: also those of every pair."""
    faces, _ = distinct_faces(_made_up(count))
    cosine = Manifest.same_person_cosine
    started_s = time.process_time()
    pivots = pivots_of(faces)
    cells = cells_of(faces, pivots)
    shares = shared_out(np.bincount(cells.ravel(), minlength=len(pivots)), _PAIRS_A_TASK)
    found = np.unique(np.concatenate([links_within(faces, cells, some, cosine) for some in shares]), axis=0)
    numbers: dict[str, float] = {
        "faces": len(faces), "cells_s": round(time.process_time() - started_s, 2), "links": len(found)
    }  # fmt: skip
    if exact:
        started_s = time.process_time()
        every = links_of_faces(faces, slice(0, len(faces)), cosine)
        numbers |= {"every_pair_s": round(time.process_time() - started_s, 2), "every_links": len(every)}
    return numbers


def _made_up(count: int) -> np.ndarray:
    random = np.random.default_rng(1)
    person = np.arange(count)
    again = np.flatnonzero(random.random(count) < _AGAIN)
    person[again] = random.integers(0, again + 1)
    looks = random.normal(size=(count, FEATURES)).astype(np.float32)
    looks /= np.linalg.norm(looks, axis=1, keepdims=True)
    vectors = looks[person] + random.normal(size=(count, FEATURES)) * _SPREAD
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


if __name__ == "__main__":
    sys.exit(main())
