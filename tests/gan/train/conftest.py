"""Data for the training tests: a small data set whose shards the real stage wrote."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from gan.data.label_rows import LABEL_SHAPES, Labels
from gan.face.face_space import FaceSpace, face_from_3dmm
from gan.training.loop import train
from gan.training.setup import Models
from tests.fake_dataset import make_dataset, make_photos
from tests.gan.train.runs import EVERY, ONE, shipped_models
from tests.gan.train.shard_tools import set_column

MODELS = {"body_model": "body_x", "body_model_sha256": "b" * 64, "face_model": "face_x", "face_model_sha256": "f" * 64}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder with a train and a val shard; nobody may change it."""
    folder = tmp_path_factory.mktemp("built")
    make_photos(folder / "photos", 12)
    make_dataset(folder / "photos", folder / "out", {})
    for shard in sorted((folder / "out" / "shards").glob("*.parquet")):
        for name, value in MODELS.items():
            set_column(shard.parent, shard.stem, name, value)
    return folder / "out"


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    """A copy of the shards that a test may damage."""
    shutil.copytree(built / "shards", tmp_path / "copy" / "shards")
    return tmp_path / "copy"


@pytest.fixture
def labels() -> Labels:
    """Forty rows of made-up labels, near the front."""
    random = np.random.default_rng(3)
    arrays = {name: random.normal(0, 0.2, (40, *shape)).astype(np.float32) for name, shape in LABEL_SHAPES.items()}
    arrays["camera_pitch_yaw"] += np.float32(np.pi / 2)
    arrays["face_pitch_yaw"] += np.float32(np.pi / 2)
    return Labels(**arrays)


@pytest.fixture(scope="session")
def models() -> Models:
    """The shipped body and face."""
    return shipped_models()


@pytest.fixture(scope="session")
def space(models: Models) -> FaceSpace:
    """The shipped face in the generator's frame."""
    return FaceSpace(models.face, face_from_3dmm(models.face, models.body))


@pytest.fixture(scope="session")
def data(built: Path, tmp_path_factory: pytest.TempPathFactory, models: Models) -> Path:
    """The small data set, with labels of the shipped models."""
    folder = tmp_path_factory.mktemp("standins") / "shards"
    shutil.copytree(built / "shards", folder)
    for kind, model in (("body", models.body), ("face", models.face)):
        set_column(folder, "train-00000", f"{kind}_model", model.name)
        set_column(folder, "train-00000", f"{kind}_model_sha256", model.sha256)
    return folder


@pytest.fixture(scope="session")
def whole(data: Path, models: Models, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage-1 run that nothing disturbed; nobody may change it."""
    out = tmp_path_factory.mktemp("whole")
    torch.set_num_threads(1)
    train([data], ONE, out, models, options=EVERY)
    return out
