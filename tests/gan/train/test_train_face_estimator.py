"""Training the stand-in face estimator: what it is shown, that it learns, and that ended runs go on."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep.errors import ConfigError
from dataprep.frames.landmarks68 import MIRROR68
from gan.config import GeneratorConfig
from gan.errors import BasisError
from gan.face.face_accuracy import measure
from gan.face.face_estimator import load_standin_estimator
from gan.face.face_pictures import FacePictures, draw_batch, load_faces, split_label
from gan.face.face_space import FaceSpace
from gan.face.train_face_estimator import EstimatorRecipe, Training, begin, digest, main, train
from gan.rendering.cameras import face_camera, project
from gan.training.setup import Models
from tests.gan.train.held_out_faces import held_out_faces
from tests.gan.train.shard_tools import set_column


@pytest.fixture(scope="module")
def few() -> FacePictures:
    faces = held_out_faces()
    return FacePictures(faces.image_N3HW[:12], faces.label_NK[:12])


def begun(faces: FacePictures, steps: int) -> Training:
    return begin(EstimatorRecipe(digest(faces), "f" * 64, steps, seed=5, batch=4), faces)


def weights(training: Training) -> dict[str, torch.Tensor]:
    return training.network.state_dict()


def test_an_ended_run_goes_on_to_the_same_weights(few: FacePictures, space: FaceSpace, tmp_path: Path) -> None:
    whole = begun(few, 4)
    train(whole, few, space)
    ended = begun(few, 4)
    train(ended, few, space, until=2)
    ended.save(tmp_path / "state.pt")
    resumed = begun(few, 4)
    resumed.go_on_from(tmp_path / "state.pt")
    assert resumed.steps_done == 2
    train(resumed, few, space)
    assert all(torch.equal(value, weights(resumed)[name]) for name, value in weights(whole).items())
    assert not torch.equal(weights(ended)["last.weight"], weights(whole)["last.weight"])


def test_more_steps_go_on_before_the_rate_falls(few: FacePictures, space: FaceSpace, tmp_path: Path) -> None:
    """Of five steps the fourth is slower; the first three are those of six, too."""
    short, long = begun(few, 5), begun(few, 6)
    train(short, few, space, until=3)
    short.save(tmp_path / "state.pt")
    train(long, few, space, until=3)
    assert all(torch.equal(value, weights(short)[name]) for name, value in weights(long).items())
    begun(few, 6).go_on_from(tmp_path / "state.pt")
    train(short, few, space, until=4)
    short.save(tmp_path / "state.pt")
    with pytest.raises(ConfigError, match="of another run, 4 steps old: steps was 5, is 6"):
        begun(few, 6).go_on_from(tmp_path / "state.pt")


def test_a_state_of_another_run_is_refused(few: FacePictures, tmp_path: Path) -> None:
    begun(few, 4).save(tmp_path / "state.pt")
    with pytest.raises(ConfigError, match=r"data was [0-9a-f]{64}, is "):
        begun(FacePictures(few.image_N3HW[:4], few.label_NK[:4]), 4).go_on_from(tmp_path / "state.pt")
    (tmp_path / "state.pt").write_bytes(b"PK")
    with pytest.raises(ConfigError, match="no state of such a run"):
        begun(few, 4).go_on_from(tmp_path / "state.pt")


def test_it_learns_what_it_is_shown(few: FacePictures, space: FaceSpace) -> None:
    training = begun(few, 150)
    before = measure(training.network.eval(), space, few)
    train(training, few, space)
    after = measure(training.network, space, few)
    assert after.expression_mm < 0.9 * before.expression_mm
    assert after.expression_correlation > 0.5
    assert after.camera_deg < 0.5 * after.camera_mean_deg


def test_mirrored_labels_show_the_mirrored_face(data: Path, models: Models, space: FaceSpace) -> None:
    """In the mirror image, landmarks have x of the other sign and their partners' numbers."""
    faces = load_faces([data], "train", models.face, models.body)
    assert faces.mirrored_NK is not None

    def seen(label_NK: torch.Tensor) -> np.ndarray:
        z_id_NK, z_exp_NK, camera_N2 = split_label(label_NK)
        return project(space.landmarks(z_id_NK, z_exp_NK), camera_N2, face_camera(GeneratorConfig()))[0].numpy()

    mirrored = seen(faces.label_NK)[:, MIRROR68] * [-1, 1]
    np.testing.assert_allclose(seen(faces.mirrored_NK), mirrored, atol=0.02)  # 1.1 % of expression are lost
    assert np.abs(seen(faces.label_NK) - mirrored).max() > 0.1


def test_pictures_are_mirrored_with_their_labels(few: FacePictures) -> None:
    """White on the left only: whichever side is white after all spoiling, the label says."""
    image = torch.zeros_like(few.image_N3HW)
    image[..., :32] = 255
    marked = FacePictures(image, few.label_NK, few.label_NK + 100)
    shown, label = draw_batch(marked, 32, np.random.default_rng(1))
    mirrored = shown[..., 40:].mean((1, 2, 3)) > shown[..., :24].mean((1, 2, 3))
    assert torch.equal(mirrored, label[:, 0] > 50)
    assert 0 < mirrored.sum() < 32


def test_labels_of_another_face_are_refused(built: Path, models: Models) -> None:
    with pytest.raises(BasisError, match=r"face_x .* speaks of face_anny"):
        load_faces([built], "train", models.face, models.body)


def test_the_command_writes_weights_that_open(
    data: Path, models: Models, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards, out, state = tmp_path / "shards", tmp_path / "weights.npz", tmp_path / "state.pt"
    arguments = ["--data", str(tmp_path), "--out", str(out), "--state", str(state), "--steps", "2"]
    shutil.copytree(data, shards)
    assert main(arguments) == 2  # the val split still is another model's
    assert "speaks of face_anny" in capsys.readouterr().err
    for kind, model in (("body", models.body), ("face", models.face)):
        set_column(shards, "val-00000", f"{kind}_model", model.name)
        set_column(shards, "val-00000", f"{kind}_model_sha256", model.sha256)
    assert main(arguments) == 0
    assert "at 32 px: expression_mm" in capsys.readouterr().out
    assert load_standin_estimator(out).meta["steps"] == 2
    assert not state.exists()
    assert main([*arguments[:-1], "0"]) == 2
    assert "--steps 0" in capsys.readouterr().err


def test_a_face_without_a_mirror_image_is_never_mirrored(data: Path, models: Models) -> None:
    random = np.random.default_rng(0)
    lopsided = replace(models.face, exp_base=random.normal(size=models.face.exp_base.shape))
    assert load_faces([data], "train", lopsided, models.body).mirrored_NK is None
