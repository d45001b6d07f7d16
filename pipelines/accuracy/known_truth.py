"""What the pictures of a data set really show, where truth files say it: the estimator's error on renders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from dataprep.errors import ConfigError
from dataprep.files.untrusted import require_sample_ids
from dataprep.fits.generator_labels import turn_in_picture, view_from_cam
from dataprep.frames.face_frames import CAM_FROM_GL
from dataprep.frames.smpl_joints import HEAD
from dataprep.tables.labels import BFM_EXP, BFM_ID
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import shard_folder, twins
from gan.evaluation.control import Control
from gan.evaluation.reals import RealSet
from pipelines.accuracy.truth_files import Truth, read_truth, truth_path

Known = tuple[np.ndarray, Control]  # indices within the real set, and the truth of each


def known_of(folder: Path) -> Callable[[RealSet], Known]:
    """Return the function that finds the truth of a real set; ConfigError where there is none."""

    def find(reals: RealSet) -> Known:
        ids = reals.sample_ids()
        rows = {row["sample_id"]: row for root in reals.roots for row in _rows(root)}
        require_sample_ids(rows, "the shards")
        found = [
            (i, rows[name]) for i, name in enumerate(ids) if truth_path(folder, rows[name]["source_path"]).is_file()
        ]
        if not found:
            raise ConfigError(f"--truth {folder}: no truth file of any real picture there (docs/truth.md)")
        truths = [_control(read_truth(truth_path(folder, row["source_path"])), row) for _, row in found]
        return np.array([i for i, _ in found]), Control(*(np.stack(values) for values in zip(*truths, strict=True)))

    return find


def _rows(root: Path) -> list[dict[str, Any]]:
    columns = ["sample_id", "source_path", "crop_roll_rad"]
    found = twins(shard_folder(root))
    return [row for twin in found for row in read_table(twin, columns).to_pylist()]


def _control(truth: Truth, row: dict[str, Any]) -> tuple[np.ndarray, ...]:
    """Rotations as the crop shows them: along the slanted ray, the crop's roll taken out. Shoulders are not known."""
    seen = turn_in_picture(-row["crop_roll_rad"]) @ view_from_cam(truth.array("joints_cam_m")[HEAD])
    head = CAM_FROM_GL @ seen @ CAM_FROM_GL @ truth.array("head_from_3dmm")
    z_id = truth.array(BFM_ID) if BFM_ID in truth.content else np.full(80, np.nan)
    return z_id, truth.array(BFM_EXP), head, np.full((2, 2), np.nan)
