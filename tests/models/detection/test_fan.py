"""The optional FAN landmarks: nothing unchecked is loaded, and given boxes give 68 points."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

from dataprep.errors import AssetError
from dataprep.models.detection.fan import SHA256_PREFIX, FanLandmarks, default_path


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(AssetError, match=r"no such file; fetch https://"):
        FanLandmarks(tmp_path / "2DFAN4.pth.tar")


@pytest.mark.parametrize("variable", ["", "TORCH_HOME", "XDG_CACHE_HOME"])
def test_weights_are_looked_for_where_torch_keeps_them(tmp_path, monkeypatch, variable):
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    assert default_path().parent == Path(torch.hub.get_dir()) / "checkpoints"


def test_weights_of_another_hash_are_refused(tmp_path):
    path = tmp_path / "2DFAN4.pth.tar"
    path.write_bytes(b"something else")
    with pytest.raises(AssetError, match=SHA256_PREFIX):
        FanLandmarks(path)


@pytest.mark.slow  # face-alignment compiles numba functions at the first face
def test_a_state_dict_of_the_true_schema_runs(tmp_path):
    from face_alignment.models import FAN

    torch.manual_seed(0)
    path = tmp_path / "2DFAN4.pth.tar"
    torch.save(FAN(4).state_dict(), path)
    prefix = hashlib.sha256(path.read_bytes()).hexdigest()[:10]
    landmarks, scores = FanLandmarks(path, sha256_prefix=prefix)(
        skimage.data.astronaut(), np.array([173.0, 68.0, 277.0, 172.0])
    )
    assert landmarks.shape == (68, 2)
    assert scores.shape == (68,)
    assert np.isfinite(landmarks).all()
