"""Whom and what to show: people and motions drawn from label rows, the authors' tables, or a plain normal prior.

A generator is trained on resampled label rows: identity and body shape from one row, camera and joints from one row,
expression from a row of its own. Drawing the same way shows it what it knows. Every draw comes from (seed, purpose).
"""

import dataclasses
import enum
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from dataprep.errors import ConfigError
from dataprep.tables.labels import BASES, BFM_EXP, BFM_ID, CAMERA_PITCH_YAW, JOINTS_ZYX, SMPL_BETAS, drawn
from dataprep.tables.manifest_files import MANIFEST, files_of, has_manifest
from dataprep.tables.outliers import drawable_rows, require_rows
from gan.animation.tracks import COLUMNS, SHAPES, Track, bases_of, matrix, read_labels
from gan.checkpoint import Bases
from gan.config import EXPRESSION_CODE, ID_CODE, NOISE_CODE
from gan.data.label_rows import Labels as LabelRows
from gan.rendering.body_arrays import BETAS

DATA_SET, PRIOR, WITH_WEIGHTS = "data set", "normal prior", "rows that came with the weights"  # sources of rows
PRIOR_ROWS = 1000
# Without labels, assumed: coefficients in standard deviations, angles in radians (pitch, yaw).
PRIOR_CODE_STD, PRIOR_POSE_STD_RAD, PRIOR_CAMERA_STD_RAD = 0.5, 0.08, (0.06, 0.2)


class AnimatePurpose(enum.IntEnum):
    """What a random stream is for; the numbers are part of what makes a rerun the same."""

    PERSON = 1
    NOISE = 2
    MOTION = 3
    PRIOR = 4
    MEAN = 5


@dataclasses.dataclass(frozen=True, eq=False)
class AnimateLabels:
    """What is drawn from: rows of people, of joints with their camera, and of expressions; `source` says whose.

    Each has as many as the rule for outliers leaves. `bases` None: the rows do not name their models.
    """

    source: str
    identity_N80: Float[np.ndarray, "n 80"]
    betas_N10: Float[np.ndarray, "n 10"]
    pose_M63: Float[np.ndarray, "m 6 3"]
    camera_M2: Float[np.ndarray, "m 2"]
    expression_E64: Float[np.ndarray, "e 64"]
    bases: Bases | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Person:
    """The codes of one generated person, each with a leading axis of one."""

    identity_1K: Float[np.ndarray, "1 80"]
    noise_1K: Float[np.ndarray, "1 80"]
    betas_1K: Float[np.ndarray, "1 10"]


def stream(seed: int, purpose: AnimatePurpose) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence((seed, int(purpose))))


def open_labels(folder: Path) -> AnimateLabels:
    """Read the label rows that training on this data set draws from (`dataprep.tables.outliers`): each group its own.

    From `manifest.parquet`, else from the twins of the shards, the training split alone. Raises ConfigError where there
    are none, BasisError where models mix.
    """
    table = _training_rows(folder)
    labels = {
        label.name: matrix(table, label.name, label.shape, folder)
        for label in drawn()
        if label.name in table.column_names
    }
    kept = drawable_rows(labels)
    require_rows(kept, f"--labels {folder}")
    rows = {
        label.name: labels[label.name][kept[group]] for group in kept for label in drawn(group) if label.name in labels
    }
    return AnimateLabels(
        DATA_SET, rows[BFM_ID], rows[SMPL_BETAS], rows[JOINTS_ZYX], rows[CAMERA_PITCH_YAW], rows[BFM_EXP],
        bases_of(table, folder),
    )  # fmt: skip


def _training_rows(folder: Path) -> pa.Table:
    """Return the selected rows of the training split, with every label that is drawn and that the data set has."""
    files = [Path(str(file)) for file in files_of(folder / MANIFEST)] if has_manifest(folder) else []
    if not files:
        files = sorted({*folder.glob("shards/train-*.parquet"), *folder.glob("train-[0-9]*.parquet")})
    if not files:
        raise ConfigError(
            f"--labels {folder}: neither manifest.parquet nor shards there; expected a data set: "
            f"shhq-hs run SOURCE --out {folder}"
        )
    columns = (*COLUMNS.values(), BFM_ID, SMPL_BETAS, *BASES)
    also = ("split", *(label.name for label in drawn()))
    tables = [read_labels(path, f"--labels {path}", columns, also) for path in files]
    table = pa.concat_tables(tables, promote_options="permissive")
    if "split" in table.column_names:
        table = table.filter(pa.compute.equal(table["split"], "train"))
    if not len(table):
        raise ConfigError(
            f"--labels {folder}: no accepted sample in the training split; see why: shhq-hs errors {folder}"
        )
    return table


def labels_with(rows: LabelRows, bases: Bases | None) -> AnimateLabels:
    """Return the rows that weights were trained on and brought along, in the terms of their bases."""
    pose = rows.joints_zyx, rows.camera_pitch_yaw
    return AnimateLabels(WITH_WEIGHTS, rows.bfm_id, rows.smpl_betas, *pose, rows.bfm_exp, bases)


def prior_labels() -> AnimateLabels:
    """Return made-up rows for when no data set is at hand: independent normal numbers about the front."""
    random = stream(0, AnimatePurpose.PRIOR)
    draw = lambda *shape: random.standard_normal((PRIOR_ROWS, *shape)).astype(np.float32)  # noqa: E731
    expression = PRIOR_CODE_STD * draw(EXPRESSION_CODE)
    pose = PRIOR_POSE_STD_RAD * draw(*SHAPES["pose"])
    camera = np.float32(np.pi / 2) + draw(2) * np.asarray(PRIOR_CAMERA_STD_RAD, np.float32)
    return AnimateLabels(PRIOR, PRIOR_CODE_STD * draw(ID_CODE), PRIOR_CODE_STD * draw(BETAS), pose, camera, expression)


def draw_person(labels: AnimateLabels, seed: int) -> Person:
    """Return the person of a seed: identity and body shape of one row, and noise."""
    row = [int(stream(seed, AnimatePurpose.PERSON).integers(len(labels.identity_N80)))]
    noise_1K = stream(seed, AnimatePurpose.NOISE).standard_normal((1, NOISE_CODE)).astype(np.float32)
    return Person(labels.identity_N80[row], noise_1K, labels.betas_N10[row])


def draw_motion(labels: AnimateLabels, seed: int, frames: int) -> Track:
    """Return independent frames of a seed: camera and joints of one row, expression of another; more extend fewer."""
    counts = [len(labels.pose_M63), len(labels.expression_E64)]
    pose, expression = stream(seed, AnimatePurpose.MOTION).integers(counts, size=(frames, 2)).T
    return Track(labels.expression_E64[expression], labels.pose_M63[pose], labels.camera_M2[pose], labels.bases)
