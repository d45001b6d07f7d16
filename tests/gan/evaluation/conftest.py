"""A generator of random weights, and a small data set that speaks of the same models."""

from pathlib import Path

import pytest
import torch

from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from gan.checkpoint import Bases, save_checkpoint
from gan.config import GeneratorConfig
from gan.rendering.body_arrays import body_arrays
from gan.rendering.generator import Generator
from tests.fake_dataset import make_dataset, make_photos
from tests.gan.train.shard_tools import set_column

SMALL = GeneratorConfig(
    image_size=16, ray_size=16, map_size=16, coarse_samples=8, fine_samples=16, map_samples=16, levels=4,
    deform_width=16, manifold_width=32, radiance_width=32, features=4, sr_width=8, sr_growth=4, sr_blocks=1,
)  # fmt: skip


@pytest.fixture(scope="session")
def bases() -> Bases:
    body, face = load_body(), load_face()
    return Bases(body.name, body.sha256, face.name, face.sha256)


@pytest.fixture(scope="session")
def data(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures whose labels speak of the shipped models."""
    folder = tmp_path_factory.mktemp("data")
    make_photos(folder / "photos", 12)
    make_dataset(folder / "photos", folder / "out", {})
    models = {
        "body_model": bases.body_name, "body_model_sha256": bases.body_sha256,
        "face_model": bases.face_name, "face_model_sha256": bases.face_sha256,
    }  # fmt: skip
    for shard in sorted((folder / "out" / "shards").glob("*.parquet")):
        for name, value in models.items():
            set_column(shard.parent, shard.stem, name, value)
    return folder / "out"


@pytest.fixture(scope="session")
def checkpoint(bases: Bases, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(3)
    path = tmp_path_factory.mktemp("run") / "generator.pt"
    save_checkpoint(path, Generator(body_arrays(load_body()), SMALL), bases)
    return path
