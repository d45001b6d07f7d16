"""One person under many commands: does it stay the same person, and the same face from every side?

A person's frames: four expressions, four poses, five cameras, everything else as first drawn.
Suffixes: N frames, P people, L landmarks, K code values.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float

from dataprep.models.face.likeness_file import LIKENESS_SHA256
from gan.data.priors import Codes
from gan.evaluation.control import MIN_READ, landmarks_mm
from gan.evaluation.fakes import Fakes
from gan.evaluation.jobs import FakeSource, ReaderSpec
from gan.evaluation.result_chunks import Arrays, Compute
from gan.face.face_space import FaceSpace
from gan.rendering.both_views import face_label
from gan.rendering.generator import Identity

YAWS_RAD = (-0.5, -0.25, 0.0, 0.25, 0.5)
EXPRESSIONS, POSES = 4, 4
FRAMES = EXPRESSIONS + POSES + len(YAWS_RAD)
KINDS = {
    "expression": slice(0, EXPRESSIONS),
    "pose": slice(EXPRESSIONS, EXPRESSIONS + POSES),
    "camera": slice(EXPRESSIONS + POSES, FRAMES),
}
FIRST = 1 << 30  # draws of sweeps lie apart from those of pictures


@dataclass(frozen=True)
class SweepJob:
    """Face coefficients that are read off every frame; index = person * FRAMES + frame."""

    source: FakeSource
    reader: ReaderSpec

    def key(self) -> dict[str, Any]:
        frames = {"frames": [EXPRESSIONS, POSES, *YAWS_RAD], "likeness": LIKENESS_SHA256}
        return {"what": "sweeps", **frames, **self.source.key(), **self.reader.key()}

    def open(self) -> Compute:
        fakes, _ = self.source.open()
        reader = self.reader.open()
        people: dict[int, tuple[Identity, Codes]] = {}

        def run(span: range) -> Arrays:
            faces = []
            for index in span:
                person, frame = divmod(index, FRAMES)
                if person not in people:
                    people.clear()
                    people[person] = sweep_person(fakes, person)
                identity, codes = people[person]
                faces.append(fakes.faces(identity, Codes(*(values[frame : frame + 1] for values in codes))))
            z_id_NK, z_exp_NK, likeness_NK = reader.codes_and_likeness(np.concatenate(faces))
            return {"z_id": z_id_NK, "z_exp": z_exp_NK, "likeness": likeness_NK}

        return run


@torch.no_grad()
def sweep_person(fakes: Fakes, person: int) -> tuple[Identity, Codes]:
    """Return a person and the codes of its FRAMES frames. The face camera looks from where the portrait's stands."""
    start = FIRST + person * (1 + EXPRESSIONS + POSES)
    drawn = fakes.codes(range(start, start + 1 + EXPRESSIONS + POSES))
    first = Codes(*(values[:1] for values in drawn))
    frames = Codes(*(values.repeat_interleave(FRAMES, 0) for values in first))
    frames.z_exp_BK[KINDS["expression"]] = drawn.z_exp_BK[1 : 1 + EXPRESSIONS]
    frames.pose_BP3[KINDS["pose"]] = drawn.pose_BP3[1 + EXPRESSIONS :]
    frames.camera_B2[KINDS["camera"]] = torch.pi / 2 + frames.camera_B2.new_tensor([(0.0, yaw) for yaw in YAWS_RAD])
    looks = face_label(fakes.generator, first.betas_BK, frames.pose_BP3, frames.camera_B2)
    return fakes.identity(first), frames._replace(face_camera_B2=looks)


class Drift(NamedTuple):
    """How far one person's frames are apart, beside how far people are.

    `likeness` is 1 - the mean cosine of two frames of one person, as a network sees who it is, and
    `likeness_between_people` that of frames of two people. In mm, from the person's mean: `identity_mm` reads the 68
    landmarks of the neutral face, `shape_mm` with the expression, which must not change with the camera either.
    Of `of` frames, `likeness_read` and `read` could be read; what would stand on fewer than MIN_READ is no number.
    """

    likeness: float
    likeness_between_people: float
    identity_mm: float
    shape_mm: float
    between_people_mm: float
    likeness_read: int
    read: int
    of: int


def drifts(
    z_id_NK: Float[np.ndarray, "n 80"],
    z_exp_NK: Float[np.ndarray, "n 64"],
    likeness_NK: Float[np.ndarray, "n k"],
    space: FaceSpace,
) -> dict[str, Drift]:
    """Return identity drift over expressions and poses, and the consistency over cameras, by kind."""
    people = len(z_id_NK) // FRAMES
    neutral = landmarks_mm(space, z_id_NK, np.zeros_like(z_exp_NK)).reshape(people, FRAMES, 68, 3)
    whole = landmarks_mm(space, z_id_NK, z_exp_NK).reshape(people, FRAMES, 68, 3)
    looks = likeness_NK.reshape(people, FRAMES, -1)
    read, looked = np.isfinite(whole).all((2, 3)), np.isfinite(looks).all(2)
    out = {}
    for kind, frames in KINDS.items():
        seen = read[:, frames]
        some = _often_read(seen)
        means = [neutral[p, frames][seen[p]].mean(0) for p in some]
        out[kind] = Drift(
            *unlikeness([looks[p, frames][looked[p, frames]] for p in _often_read(looked[:, frames])]),
            float(np.mean([spread_mm(neutral[p, frames][seen[p]]) for p in some])) if some else float("nan"),
            float(np.mean([spread_mm(whole[p, frames][seen[p]]) for p in some])) if some else float("nan"),
            spread_mm(np.stack(means)) if len(means) > 1 else float("nan"),
            int(looked[:, frames].sum()),
            int(seen.sum()),
            int(seen.size),
        )
    return out


def _often_read(seen_PN: Bool[np.ndarray, "p n"]) -> list[int]:
    """People with two frames that were read or more; none where too few were read in all."""
    return np.flatnonzero(seen_PN.sum(1) >= 2).tolist() if seen_PN.sum() >= MIN_READ else []


def unlikeness(looks_PNK: Sequence[Float[np.ndarray, "_ k"]]) -> tuple[float, float]:
    """Return 1 - the mean cosine of two frames of one person, at least two each, and that of frames of two people."""
    counts = np.array([len(looks) for looks in looks_PNK], float)
    sums_PK = np.stack([looks.sum(0) for looks in looks_PNK]) if looks_PNK else np.zeros((0, 1))
    own = ((sums_PK**2).sum(1) - counts) / np.maximum(counts * (counts - 1), 1)  # a frame with itself left out
    means_PK = sums_PK / np.maximum(counts, 1)[:, None]
    others = (means_PK @ means_PK.T)[np.triu_indices(len(counts), 1)]
    within, between = (float(1 - cosines.mean()) if len(cosines) else float("nan") for cosines in (own, others))
    return within, between


def spread_mm(shapes_NL3: Float[np.ndarray, "n l 3"]) -> float:
    """Mean distance of the shapes' landmarks from those of their mean, corrected for few shapes."""
    count = len(shapes_NL3)
    apart = np.linalg.norm(shapes_NL3 - shapes_NL3.mean(0), axis=-1).mean()
    return float(apart * np.sqrt(count / (count - 1)))
