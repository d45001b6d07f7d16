"""What an evaluation computes by index: features of real and generated pictures, and what they show.

Suffixes: N pictures, K code values.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from dataprep.errors import ConfigError
from dataprep.models.body.smpl import BodyModel
from dataprep.models.body.smpl_keypoints import with_keypoints
from dataprep.models.face.bfm import FaceModel
from dataprep.models.face.face_files import open_face
from gan.checkpoint import read_checkpoint
from gan.config import NOISE_CODE
from gan.data.priors import Codes, LabelPrior
from gan.evaluation.control import Control, commanded
from gan.evaluation.fakes import Fakes, GeneratedPictures, Sizes, sizes_of
from gan.evaluation.feature_networks import FeatureNetwork, NetworkSpec
from gan.evaluation.readers import Reader
from gan.evaluation.reals import RealSet
from gan.evaluation.result_chunks import Arrays, Compute
from gan.face.face_estimator import open_estimator
from gan.face.face_space import face_from_3dmm
from gan.generator_files import open_body, open_generator
from gan.rendering.body_arrays import body_arrays
from gan.rendering.posed_body import PosableBody

VIEWS = ("portrait", "face")
READER_VERSION = 2
SHOULDER_POINTS = ("mediapipe/left_shoulder", "mediapipe/right_shoulder")
MEAN_OF = 256  # real pictures that the mean portrait averages, at most
JITTERS, JITTER_SHIFT, JITTER_SCALE = 2, 0.02, 0.03  # of the estimator floor: parts of the picture's side


@dataclass(frozen=True)
class ReaderSpec:
    """Which models read pictures, before they are loaded; without a network, landmarks give the expression too."""

    face: str
    face_sha256: str
    network: str = ""
    network_sha256: str = ""

    def open(self) -> Reader:
        face = open_face(self.face)
        return Reader(face, open_estimator(face) if self.network_sha256 else None)

    def describe(self) -> str:
        fit = f"MediaPipe landmarks and a fit of the face model {self.face_sha256[:12]}"
        network = f"{self.network} ({self.network_sha256[:12]})"
        return f"{network} for identity and expression, {fit} for the head" if self.network else fit

    def key(self) -> dict[str, Any]:
        return {"reader": READER_VERSION, "face": self.face_sha256, "network": self.network_sha256}


def reader_of(face: FaceModel, named: str, with_network: bool) -> ReaderSpec:
    """Return the reader for a face model; ConfigError where it is to use a network and there is none."""
    if not with_network:
        return ReaderSpec(named, face.sha256)
    estimator = open_estimator(face)
    if estimator is None:
        raise ConfigError(f"--reader network: no face estimator speaks of {face.name}; use --reader landmarks")
    return ReaderSpec(named, face.sha256, estimator.name, estimator.weights_sha256)


@dataclass(frozen=True)
class FakeSource:
    """A checkpoint and the label rows that drive it."""

    checkpoint: Path
    checkpoint_sha256: str
    labels: RealSet
    seed: int
    psi: float
    body: str | None
    device: str = "cpu"

    def key(self) -> dict[str, Any]:
        return {
            "checkpoint": self.checkpoint_sha256, "labels": self.labels.sha256, "rows": len(self.labels),
            "seed": self.seed, "psi": self.psi,
        }  # fmt: skip

    def open(self) -> tuple[Fakes, BodyModel]:
        checkpoint = read_checkpoint(self.checkpoint)
        sizes = sizes_of(checkpoint)
        dataset = self.labels.open(sizes)
        generator = open_generator(checkpoint, [dataset.bases], self.body, None).to(self.device)
        prior = LabelPrior(dataset.labels.take(list(self.labels.rows)), self.seed)
        return Fakes(generator, prior, sizes, self.psi), open_body(checkpoint, self.body)


@dataclass(frozen=True)
class FakeJob:
    """Features of generated pictures and, with a reader, what was commanded and what they show."""

    source: FakeSource
    networks: tuple[NetworkSpec, ...]
    reader: ReaderSpec | None = None

    def key(self) -> dict[str, Any]:
        return {"what": "fakes", **self.source.key(), **_network_key(self.networks), **_reader_key(self.reader)}

    def open(self) -> Compute:
        fakes, body = self.source.open()
        networks = [spec.open(self.source.device) for spec in self.networks]
        reader = self.reader.open() if self.reader else None
        command = Commands(fakes, body, self.reader.face) if self.reader else None

        def run(span: range) -> Arrays:
            codes = fakes.codes(span)
            pictures = fakes.render(codes)
            arrays = features_of(pictures, networks)
            if reader and command:
                arrays |= _named("commanded", command(codes)) | _named("shown", reader(pictures))
            return arrays

        return run


class Commands:
    """What codes ask for, with the body and the face that the labels speak of."""

    def __init__(self, fakes: Fakes, body: BodyModel, face_named: str) -> None:
        face, arrays = open_face(face_named), body_arrays(body)
        rotation_33 = face_from_3dmm(face, body)[:, :3]
        rows = with_keypoints(body).keypoint_rows(SHOULDER_POINTS)
        vertices = np.unique(rows.indices)
        self.commanded = partial(
            commanded,
            body=PosableBody(arrays, vertices),
            camera=fakes.generator.cameras["portrait"],
            face_from_3dmm_33=rotation_33 / np.linalg.norm(rotation_33[:, 0]),
            shoulders_2V=rows[:, vertices].toarray().astype(np.float32),
        )

    def __call__(self, codes: Codes) -> Control:
        return self.commanded(Codes(*(values.cpu() for values in codes)))


def known_of_labels(source: FakeSource, face_named: str) -> tuple[np.ndarray, Control]:
    """Return what real pictures show by their own labels, for data sets whose labels are exact: rendered people."""
    fakes, body = source.open()
    labels = source.labels.open(fakes.sizes).labels.take(list(source.labels.rows))
    rows = (labels.bfm_id, labels.smpl_betas, labels.bfm_exp, np.zeros((len(labels.bfm_id), NOISE_CODE), np.float32),
            labels.joints_zyx, labels.camera_pitch_yaw, labels.face_pitch_yaw)  # fmt: skip
    said = Commands(fakes, body, face_named)(Codes(*map(torch.from_numpy, rows)))
    return np.arange(len(labels.bfm_id)), said


@dataclass(frozen=True)
class RealJob:
    """Features of real pictures."""

    reals: RealSet
    sizes: Sizes
    networks: tuple[NetworkSpec, ...]
    device: str = "cpu"

    def key(self) -> dict[str, Any]:
        return {"what": "reals", "real": self.reals.sha256, "px": self.sizes[:2], **_network_key(self.networks)}

    def open(self) -> Compute:
        dataset = self.reals.open(self.sizes)
        networks = [spec.open(self.device) for spec in self.networks]
        return lambda span: features_of(self.reals.pictures(dataset, span), networks)


@dataclass(frozen=True)
class NoiseJob:
    """Features of the mean real picture plus independent noise of every pixel's own spread: a bar to clear."""

    reals: RealSet
    sizes: Sizes
    networks: tuple[NetworkSpec, ...]
    seed: int
    device: str = "cpu"

    def key(self) -> dict[str, Any]:
        return RealJob(self.reals, self.sizes, self.networks).key() | {"what": "mean and noise", "seed": self.seed}

    def open(self) -> Compute:
        networks = [spec.open(self.device) for spec in self.networks]
        draw = self.pictures()
        return lambda span: features_of(draw(span), networks)

    def pictures(self) -> Any:
        """Return the function from indices to such pictures."""
        seen = self.reals.pictures(self.reals.open(self.sizes), range(min(MEAN_OF, len(self.reals))))
        means = [view.mean(0) for view in seen]
        spreads = [view.std(0) for view in seen]

        def draw(span: range) -> GeneratedPictures:
            views = []
            for which, (mean, spread) in enumerate(zip(means, spreads, strict=True)):
                noise = [_random(self.seed, which, i).standard_normal(mean.shape) for i in span]
                views.append(np.stack([np.clip(mean + spread * one, 0, 255).round().astype(np.uint8) for one in noise]))
            return GeneratedPictures(*views)

        return draw


@dataclass(frozen=True)
class FloorJob:
    """What real pictures show, and what they show moved and scaled by a little: the estimator's own error."""

    reals: RealSet
    sizes: Sizes
    reader: ReaderSpec

    def key(self) -> dict[str, Any]:
        how = {"jitter": [JITTERS, JITTER_SHIFT, JITTER_SCALE]}
        return {"what": "floor", "real": self.reals.sha256, "px": self.sizes[:2], **how, **_reader_key(self.reader)}

    def open(self) -> Compute:
        dataset, reader = self.reals.open(self.sizes), self.reader.open()

        def run(span: range) -> Arrays:
            pictures = self.reals.pictures(dataset, span)
            arrays = _named("shown", reader(pictures))
            for number in range(JITTERS):
                moved = [jittered(view, span, number) for view in pictures]
                shown = reader(GeneratedPictures(*(view for view, _ in moved)))
                back = _unmoved(shown.shoulders_N22, moved[0][1])
                arrays |= _named(f"jitter{number}", shown._replace(shoulders_N22=back))
            return arrays

        return run


def jittered(image_NHW3: np.ndarray, span: range, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures scaled and shifted, their rims continued, and (scale, x, y) of each, in parts of the side."""
    side = image_NHW3.shape[1]
    out, moves = [], []
    for image, index in zip(image_NHW3, span, strict=True):
        random = _random(number, 7, index)
        scale = 1 + random.uniform(-JITTER_SCALE, JITTER_SCALE)
        x, y = random.uniform(-JITTER_SHIFT, JITTER_SHIFT, 2)
        matrix = np.array([[scale, 0, (0.5 - scale / 2 + x) * side], [0, scale, (0.5 - scale / 2 + y) * side]])
        matrix[:, 2] += (scale - 1) / 2  # OpenCV counts from pixel centres
        out.append(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))
        moves.append((scale, x, y))
    return np.stack(out), np.array(moves)


def _unmoved(points_N22: np.ndarray, moves_N3: np.ndarray) -> np.ndarray:
    scale, shift = moves_N3[:, None, :1], moves_N3[:, None, 1:]
    return (points_N22 - 0.5 - shift) / scale + 0.5


def features_of(pictures: GeneratedPictures, networks: list[FeatureNetwork]) -> Arrays:
    """Return the features of both views by every network, under 'name/view'."""
    return {
        f"{network.spec.frechet_name}/{view}": network(images)
        for network in networks
        for view, images in zip(VIEWS, pictures, strict=True)
    }


def control_of(arrays: Arrays, prefix: str) -> Control:
    return Control(*(arrays[f"{prefix}/{name}"] for name in Control._fields))


def _named(prefix: str, control: Control) -> Arrays:
    return {f"{prefix}/{name}": values for name, values in control._asdict().items()}


def _network_key(networks: tuple[NetworkSpec, ...]) -> dict[str, Any]:
    return {"networks": [[spec.frechet_name, spec.weights_sha256, spec.resize] for spec in networks]}


def _reader_key(reader: ReaderSpec | None) -> dict[str, Any]:
    return reader.key() if reader else {}


def _random(*words: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(words))
