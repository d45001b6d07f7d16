"""What is exported for GAGAvatar, read as its loader reads it: the contract is written down here in our words."""

from __future__ import annotations

import io
import json
import pickle
import random
from pathlib import Path

import lmdb
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from dataprep.frames.geometry import BODY_UNIT_M
from dataprep.models.face.flame import load_flame
from dataprep.pictures.codecs import encode_png
from pipelines.commands.layouts.flame_labels import fitted
from pipelines.commands.layouts.gagavatar_layout import FOCAL, head_crop, on_black, track
from pipelines.main import main
from tests.fake_dataset import make_dataset, make_photos
from tests.flame_files import write_flame
from tests.pipelines.commands.test_trainers import rows_of

SHAPES = {"bbox": (4,), "shapecode": (300,), "expcode": (100,), "posecode": (6,), "eyecode": (6,),
          "transform_matrix": (3, 4)}  # fmt: skip


@pytest.fixture(scope="module")
def flame(tmp_path_factory):
    return write_flame(tmp_path_factory.mktemp("flame"))


@pytest.fixture(scope="module")
def exported(flame, tmp_path_factory):
    """Ten photographs of six people, three of whom have several, and what was written."""
    folder = tmp_path_factory.mktemp("gagavatar")
    make_photos(folder / "photos", 10)
    people = {f"photo{number:04d}.jpg": who for number, who in enumerate("AAABBCCDEF")}
    make_dataset(folder / "photos", folder / "out", {}, people=people)
    return folder / "out", export(folder / "out", folder / "new", flame)


def export(out, target, flame):
    command = ["export", str(out), "--layout", "gagavatar", "--split", "all", "--out", str(target)]
    assert main([*command, "--flame", str(flame[0]), "--flame-landmarks", str(flame[1])]) == 0
    return target


class Loader:
    """Its data set: a list of keys, a pickle of tracks, pictures by key, and another frame of the same video."""

    def __init__(self, root: Path, split: str) -> None:
        self.tracks = pickle.loads((root / "optim.pkl").read_bytes())
        self.keys = json.loads((root / "dataset.json").read_text())[split]
        with lmdb.open(str(root / "img_lmdb"), readonly=True, lock=False) as database, database.begin() as transaction:
            self.pictures = {key.decode(): bytes(value) for key, value in transaction.cursor()}
        self.videos: dict[str, list[str]] = {}
        for key in sorted(self.keys, key=lambda key: int(key.split("_")[-1])):
            self.videos.setdefault(key.split("_")[0], []).append(key)
        if split != "train":
            firsts = {keys[0] for keys in self.videos.values()}
            self.keys = [key for key in self.keys if key not in firsts]

    def picture(self, key):
        return np.array(Image.open(io.BytesIO(self.pictures[key])).convert("RGB"))

    def source_of(self, key):
        (source,) = random.sample([other for other in self.videos[key.split("_")[0]] if other != key], k=1)
        return source


def landmarks_px(flame, values):
    """FLAME without a turn of its own, five times as large, before PyTorch3D's camera of focal length 12."""
    content = pickle.loads(flame[0].read_bytes())
    where = np.load(flame[1], allow_pickle=True).item()
    rest = content["v_template"] + content["shapedirs"] @ np.r_[values["shapecode"], values["expcode"]]
    joints, jaw = content["J_regressor"] @ rest, Rotation.from_rotvec(values["posecode"][3:]).as_matrix()
    opened = (rest - joints[2]) @ jaw.T + joints[2]
    vertices = 5 * (content["weights"][:, 2:3] * opened + (1 - content["weights"][:, 2:3]) * rest)
    seen = vertices @ values["transform_matrix"][:, :3] + values["transform_matrix"][:, 3]
    assert (seen[:, 2] > 0).all(), "before the camera"
    pixels = 256 - 256 * 12 * seen[:, :2] / seen[:, 2:]
    return pixels[content["f"][where["full_lmk_faces_idx"][0], 0].astype(int)]


def test_its_loader_finds_pictures_and_tracks(exported):
    out, target = exported
    rows, loaders = rows_of(out), [Loader(target, split) for split in ("train", "val", "test")]
    tracks = loaders[0].tracks
    assert len(tracks) == len(rows)
    for key, values in tracks.items():
        assert {name: value.shape for name, value in values.items()} == SHAPES
        assert {value.dtype for value in values.values()} == {np.dtype(np.float32)}
        left, top, right, bottom = values["bbox"]
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        assert loaders[0].picture(key).shape == (512, 512, 3)
    assert loaders[0].keys, "somebody can be trained on"
    for loader in loaders:
        for key in loader.keys:
            assert loader.source_of(key) != key
    alone = sum(len([key for key in tracks if key.startswith(f"{person:06d}_")]) == 1 for person in range(6))
    assert alone == 3
    assert f"{alone} of them" in (target / "README.md").read_text()


def test_the_head_lies_where_its_camera_sees_it(flame):
    """A known head before the portrait's camera, off its middle: the crop's camera sees it where the crop shows it."""
    known, turn = load_flame(*flame), Rotation.from_euler("zyx", [10, 20, -5], degrees=True)
    lens, off_m = 1.8 * BODY_UNIT_M, np.array([0.02, 0.06, -BODY_UNIT_M])
    shown = known.showing(known.contour(turn.as_matrix()))
    points = (shown.corners.reshape(68, 3, 3) * shown.weights[..., None]).sum(1)
    head = turn.apply(points - known.joints[0]) + known.joints[0] + off_m
    row = {
        "landmarks68": 512 * (0.5 + lens * head[:, :2] * [1, -1] / -head[:, 2:]),
        "intrinsics": np.diag([lens, lens, 1.0]),
        "bfm_angle": turn.as_euler("zyx")[::-1],
    }  # fmt: skip
    crop, box = head_crop(row["landmarks68"])
    in_crop = (row["landmarks68"] - crop[:2]) * 512 / crop[2]
    said = landmarks_px(flame, track(fitted(known, row, crop, FOCAL / 2)))
    assert np.linalg.norm(said - in_crop, axis=1)[17:].max() < 1.5, "px of 512; the lens is a longer one"
    inside = (in_crop / 512 > box[:2]) & (in_crop / 512 < box[2:])
    assert inside[17:].all()
    assert np.ptp(in_crop[:, 1]) / 512 == pytest.approx(1 / 1.65 * 2 / 3.5, rel=0.25), "a head in 1.65 of its size"


def test_pictures_are_taken_off_their_white():
    portrait, alpha = np.full((512, 512, 3), 255, np.uint8), np.zeros((512, 512), np.uint8)
    portrait[100:300, 200:400], alpha[100:300, 200:400] = (200, 40, 90), 255
    portrait[300:310, 200:400], alpha[300:310, 200:400] = (227, 147, 172), 128  # half of each
    black = on_black({"portrait": encode_png(portrait), "alpha": encode_png(alpha)}, np.array([0.0, 0.0, 512.0]))
    np.testing.assert_array_equal(black[110:290, 210:390], np.broadcast_to((200, 40, 90), (180, 180, 3)))
    np.testing.assert_allclose(black[303:307, 210:390], np.broadcast_to((100, 20, 45), (4, 180, 3)), atol=2)
    assert (black[:90] == 0).all()
    outside = on_black({"portrait": encode_png(portrait), "alpha": encode_png(alpha)}, np.array([-200.0, -200, 512]))
    assert (outside[:190] == 0).all(), "beyond the portrait"


def test_what_it_needs_is_named(exported, tmp_path, capsys):
    out, _ = exported
    assert main(["export", str(out), "--layout", "gagavatar", "--out", str(tmp_path / "new")]) == 2
    assert "needs FLAME" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_landmarks_of_the_samples_are_met(flame, tmp_path):
    samples = Path(__file__).parents[3] / "samples/people"
    assert main(["run", str(samples), "--out", str(tmp_path / "out"), "--set", "superres.model=span"]) == 0
    target = export(tmp_path / "out", tmp_path / "new", flame)
    tracks, off = Loader(target, "train").tracks, []
    for row, said in zip(rows_of(tmp_path / "out"), tracks.values(), strict=True):
        crop, _ = head_crop(row["landmarks68"].astype(float))
        true = (row["landmarks68"] - crop[:2]) * 512 / crop[2]
        inner = np.linalg.norm(landmarks_px(flame, said) - true, axis=1)[17:].mean()
        off.append(inner / np.linalg.norm(true[36] - true[45]))
    assert np.mean(off) < 0.02
    assert max(off) < 0.03
