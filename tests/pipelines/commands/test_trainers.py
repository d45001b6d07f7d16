"""What is exported for a trainer, read as its loader reads it: each contract is written down here in our words."""

import io
import json
import pickle
import re
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dataprep.fits.generator_labels import rotations_from_rotvecs
from dataprep.models.body.body_files import open_body
from dataprep.models.body.body_mesh import BodyMesh
from dataprep.tables.columns import rows_from_table
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import twins
from gan.data.shards import ShardDataset
from pipelines.commands.layouts.cgs_gan_layout import repeated
from pipelines.commands.layouts.trainer_cameras import EG3D_RAYS
from pipelines.main import main
from tests.fake_dataset import make_dataset, make_photos
from tests.flame_files import write_flame


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trainers")
    make_photos(folder / "photos", 10)
    make_dataset(folder / "photos", folder / "out", {})
    return folder / "out"


def exported(out, target, layout, *more):
    assert main(["export", str(out), "--layout", layout, "--split", "all", "--out", str(target), *more]) == 0
    assert (target / "README.md").read_text().startswith("# ")
    return target


def rows_of(out):
    """The samples' rows in the order in which they are exported."""
    return [row for twin in twins(out / "shards") for row in rows_from_table(read_table(twin))]


class Eg3dLoader:
    """EG3D's contract: every image of a folder or a zip, sorted by name; its label by its path in dataset.json."""

    def __init__(self, path):
        self.zip = zipfile.ZipFile(path) if path.suffix == ".zip" else None
        self.root = path
        names = self.zip.namelist() if self.zip else [str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()]
        self.names = sorted(name for name in names if name.endswith(".png"))
        labels = dict(json.loads(self.read("dataset.json"))["labels"])
        self.labels = np.array([labels[name] for name in self.names], np.float32)

    def read(self, name):
        return self.zip.read(name) if self.zip else (self.root / name).read_bytes()

    def image(self, i):
        return np.array(Image.open(io.BytesIO(self.read(self.names[i]))))


def rays(label, pixels, size_px):
    """Origins and directions as EG3D samples them: `pixels` (n, 2), x right and y down; lens normalised by the side."""
    matrix, lens = label[:16].reshape(4, 4).astype(float), label[16:].reshape(3, 3).astype(float)
    x, y = ((pixels / size_px - lens[:2, 2]) / lens[[0, 1], [0, 1]]).T
    directions = np.stack([x, y, np.ones_like(x)], axis=1) @ matrix[:3, :3].T
    return matrix[:3, 3], directions / np.linalg.norm(directions, axis=1, keepdims=True)


def body_before_camera(row, model):
    """Vertices in the axes of the portrait's camera, metres, from the body labels alone."""
    turns = rotations_from_rotvecs(row["smpl_global_orient_portrait"], row["smpl_body_pose"])
    vertices, _ = posed(model, row["smpl_betas"], turns)
    return vertices + row["smpl_transl"]


def posed(model, betas, rotations):
    mesh = BodyMesh(model)
    vertices, joints = mesh(torch.tensor(rotations, dtype=torch.float32)[None], torch.tensor(betas)[None])
    return vertices[0].numpy(), joints[0].numpy()


@pytest.mark.parametrize("layout", ["eg3d", "gghead"])
def test_eg3ds_loader_finds_pictures_and_cameras(layout, out, tmp_path):
    target = exported(out, tmp_path / "new", layout)
    loader = Eg3dLoader(target if layout == "eg3d" else target / "portraits.zip")
    rows = rows_of(out)
    assert loader.labels.shape == (len(rows), 25)
    for i, row in enumerate(rows):
        np.testing.assert_allclose(loader.labels[i, 16:], row["intrinsics"].ravel(), atol=1e-6)
        matrix = loader.labels[i, :16].reshape(4, 4)
        np.testing.assert_allclose(matrix[:3, :3], row["cam2world"][:3, :3], atol=1e-6)
        assert np.linalg.norm(matrix[:3, 3]) == pytest.approx(2.7, abs=1e-4)
    train = ShardDataset([out])
    of_train = [row["sample_id"] for row in rows].index(train.sample_ids[0])
    np.testing.assert_array_equal(loader.image(of_train), train.image(0, "portrait"))


def test_ggheads_masks_have_the_pictures_names(out, tmp_path):
    target = exported(out, tmp_path / "new", "gghead", "--mirror")
    path = target / "portraits.zip"
    pictures, masks = Eg3dLoader(path), Eg3dLoader(path.parent / f"{path.stem}_masks_modnet.zip")
    assert pictures.names == masks.names
    assert len(pictures.names) == 2 * len(rows_of(out))
    train = ShardDataset([out])
    first = [row["sample_id"] for row in rows_of(out)].index(train.sample_ids[0])
    np.testing.assert_array_equal(masks.image(2 * first), train.image(0, "alpha"))
    np.testing.assert_array_equal(masks.image(2 * first + 1), train.image(0, "alpha")[:, ::-1])
    again = exported(out, tmp_path / "again", "gghead", "--mirror")
    for name in ("portraits.zip", "portraits_masks_modnet.zip", "README.md"):
        assert (again / name).read_bytes() == (target / name).read_bytes()


def test_the_mirrored_pictures_camera_sees_the_mirrored_world(out, tmp_path):
    loader = Eg3dLoader(exported(out, tmp_path / "new", "eg3d", "--mirror"))
    points = np.random.default_rng(0).uniform(-0.2, 0.2, (40, 3))
    for i in range(0, len(loader.names), 2):
        np.testing.assert_array_equal(loader.image(i + 1), loader.image(i)[:, ::-1])
        seen, mirrored = (project(label, world) for label, world in
                          ((loader.labels[i], points), (loader.labels[i + 1], points * [-1, 1, 1])))  # fmt: skip
        np.testing.assert_allclose(mirrored, np.stack([1 - seen[:, 0], seen[:, 1]], axis=1), atol=1e-5)


def project(label, points):
    matrix, lens = label[:16].reshape(4, 4).astype(float), label[16:].reshape(3, 3).astype(float)
    seen = (points - matrix[:3, 3]) @ matrix[:3, :3]
    return ((seen / seen[:, 2:]) @ lens.T)[:, :2]


def test_an_option_that_means_nothing_is_refused(out, tmp_path, capsys):
    for layout, option in (("plain", ["--mirror"]), ("plain", ["--camera", "ours"]), ("cgs-gan", ["--mirror"])):
        assert main(["export", str(out), "--layout", layout, "--out", str(tmp_path / "new"), *option]) == 2
        assert f"means nothing to --layout {layout}" in capsys.readouterr().err
    assert main(["export", str(out), "--camera", "sideways", "--out", str(tmp_path / "new")]) == 2
    assert "expected ours or eg3d" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


# --- rays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("camera", "meets"), [("eg3d", True), ("ours", False)])
def test_eg3ds_rays_meet_the_subject_only_with_its_camera(camera, meets, out, tmp_path):
    """Rays through the pixels where the body stands, sampled where EG3D's FFHQ settings sample them."""
    loader = Eg3dLoader(exported(out, tmp_path / "new", "eg3d", "--camera", camera))
    model, (near, far) = open_body("body_anny"), EG3D_RAYS
    for i, row in enumerate(rows_of(out)[:3]):
        matrix = loader.labels[i, :16].reshape(4, 4).astype(float)
        unit_m = 2.2314 / np.linalg.norm(matrix[:3, 3])
        world = (body_before_camera(row, model) / unit_m) @ matrix[:3, :3].T + matrix[:3, 3]
        pixels = project(loader.labels[i], world)
        shown = (np.abs(pixels - 0.5) < 0.45).all(axis=1)
        assert shown.sum() > 200
        origin, directions = rays(loader.labels[i], pixels[shown][::20], 1.0)
        depths = np.linspace(near, far, 96)
        samples = origin + directions[:, None] * depths[:, None]
        distance_m = cKDTree(world).query(samples)[0].min(axis=1) * unit_m
        assert (np.max(distance_m) < 0.02) if meets else (np.min(distance_m) > 0.05)
        if meets:
            assert np.abs(world[shown]).max() < 0.5  # inside of EG3D's box


# --- CGS-GAN -------------------------------------------------------------------------------------------------------


def test_cgs_gan_draws_by_the_list(out, tmp_path):
    target = exported(out, tmp_path / "new", "cgs-gan")
    names = sorted(path.name for path in (target / "images").iterdir())
    available = {int(re.findall(r"\d+", name)[0]) for name in names}
    (listed,) = target.glob("*rebalancing.json")
    drawn = [i for i in json.loads(listed.read_text()) if i in available]
    labels = dict(json.loads((target / "dataset.json").read_text())["labels"])
    rows = rows_of(out)
    for i in set(drawn):
        name = f"{i:05d}.png"
        assert np.array(labels[name]).shape == (25,)
        picture, mask = (np.array(Image.open(target / kind / name)) for kind in ("images", "mask"))
        assert (picture.ndim, mask.ndim, picture.shape[:2]) == (3, 2, mask.shape)
    counts = Counter(drawn)
    weights = [row["sampling_weight"] for row in rows]
    assert set(counts) == set(range(len(rows)))
    assert counts == Counter(repeated(weights))


def test_the_list_repeats_as_weights_say():
    assert repeated([0.5, 1.0, 2.6, None]) == [0, 1, 1, 2, 2, 2, 2, 2, 3]
    assert repeated([None, None]) == [0, 1]
    assert repeated([]) == []


# --- VHAP, FLAME ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flame(tmp_path_factory):
    model, embedding = write_flame(tmp_path_factory.mktemp("flame"))
    return ["--flame", str(model), "--flame-landmarks", str(embedding)]


def vhap_frames(root, division):
    """VHAP's contract: frames of a division, each with picture, mask, camera to world and FLAME's arrays."""
    content = json.loads((root / f"transforms_{division}.json").read_text())
    assert len(content["timestep_indices"]) == max(content["timestep_indices"], default=-1) + 1
    for frame in content["frames"]:
        lens = np.array([[frame["fl_x"], 0, frame["cx"]], [0, frame["fl_y"], frame["cy"]], [0, 0, 1]])
        picture, mask = (np.array(Image.open(root / frame[name])) for name in ("file_path", "fg_mask_path"))
        assert (picture.shape[:2], mask.shape) == ((frame["h"], frame["w"]),) * 2
        param = dict(np.load(root / frame["flame_param_path"])) if "flame_param_path" in frame else None
        yield frame["timestep_id"], lens, np.array(frame["transform_matrix"]), param


def flame_landmarks_px(flame_files, param, lens, c2w):
    """Where FLAME's own formula (linear blend skinning, as in its published code) puts the landmarks."""
    content = pickle.loads(Path(flame_files[1]).read_bytes())
    where = np.load(flame_files[3], allow_pickle=True).item()
    rest = content["v_template"] + content["shapedirs"] @ np.r_[param["shape"], param["expr"][0]]
    joints = content["J_regressor"] @ rest
    root, jaw = (Rotation.from_rotvec(param[name][0]).as_matrix() for name in ("rotation", "jaw_pose"))
    opened = (rest - joints[2]) @ jaw.T + joints[2]
    chained = content["weights"][:, 2:3] * opened + (1 - content["weights"][:, 2:3]) * rest
    world = (chained - joints[0]) @ root.T + joints[0] + param["translation"]
    index, weights = where["full_lmk_faces_idx"][0].copy(), where["full_lmk_bary_coords"][0].copy()
    head = c2w[:3, :3].T @ root
    angle = round(np.degrees(np.arctan2(head[2, 0], np.hypot(head[0, 0], head[1, 0]))).clip(-39, 39))
    shown = angle if angle >= 0 else 39 - angle  # of 79 contours, as FLAME's code numbers them
    index[:17], weights[:17] = (where[f"dynamic_lmk_{name}"][shown].numpy() for name in ("faces_idx", "bary_coords"))
    corners = world[content["f"][index].astype(int)]
    points = (corners * weights[..., None]).sum(1)
    seen = (points - c2w[:3, 3]) @ c2w[:3, :3] * [1, -1, -1]  # OpenCV's axes from OpenGL's
    return (seen / seen[:, 2:] @ lens.T)[:, :2]


def flame_residuals(out, target, flame):
    """By sample: how far each exported landmark is off, in parts of the distance of the outer eye corners."""
    rows = {row["sample_id"]: row for row in rows_of(out)}
    residuals = {}
    for root in (path for path in target.iterdir() if path.is_dir()):
        for division in ("train", "val"):
            for name, lens, c2w, param in vhap_frames(root, division):
                true = rows[name]["landmarks68"]
                said = flame_landmarks_px(flame, param, lens, c2w)
                residuals[name] = np.linalg.norm(said - true, axis=1) / np.linalg.norm(true[36] - true[45])
    assert set(residuals) == set(rows)
    return residuals


@pytest.mark.slow
def test_vhaps_loader_finds_flame_where_the_landmarks_are(tmp_path, flame):
    """The landmarks of a known head, photographed by the camera labels."""
    make_photos(tmp_path / "photos", 3)
    make_dataset(tmp_path / "photos", tmp_path / "out", {})
    target = exported(tmp_path / "out", tmp_path / "new", "nerf", *flame)
    for root in (path for path in target.iterdir() if path.is_dir()):
        frames = [frame for division in ("train", "val") for frame in vhap_frames(root, division)]
        for _, lens, c2w, param in frames:
            assert {name: value.shape for name, value in param.items()} == {
                "translation": (1, 3), "rotation": (1, 3), "neck_pose": (1, 3), "jaw_pose": (1, 3),
                "eyes_pose": (1, 6), "expr": (1, 100), "shape": (300,),
            }  # fmt: skip
            assert np.isfinite(flame_landmarks_px(flame, param, lens, c2w)).all()


def test_without_flame_the_folders_have_cameras_alone(out, tmp_path, flame, capsys):
    target = exported(out, tmp_path / "new", "nerf")
    frames = [frame for root in target.iterdir() if root.is_dir() for division in ("train", "val")
              for frame in vhap_frames(root, division)]  # fmt: skip
    assert {name for name, *_ in frames} == {row["sample_id"] for row in rows_of(out)}
    assert all(param is None for *_, param in frames)
    assert main(["export", str(out), "--layout", "nerf", "--out", str(tmp_path / "half"), *flame[:2]]) == 2
    assert "go together" in capsys.readouterr().err
    assert main(["export", str(out), "--layout", "plain", "--out", str(tmp_path / "half"), *flame]) == 2
    assert "it is for nerf" in capsys.readouterr().err


def require_flame_fits(residuals):
    """The table of dataprep/fits/README.md; what is above 2 % is the jaw of heads turned beyond FLAME's contours."""
    each = np.array(list(residuals.values()))
    assert each.mean() < 0.016
    assert each[:, 17:].mean(1).max() < 0.02, "brows, eyes, nose and mouth of every sample"
    assert (each.mean(1) > 0.02).mean() < 0.1
    assert each.mean(1).max() < 0.027


@pytest.mark.slow
def test_flames_landmarks_are_those_of_the_samples(tmp_path, flame):
    samples = Path(__file__).parents[3] / "samples/people"
    assert main(["run", str(samples), "--out", str(tmp_path / "out"), "--set", "superres.model=span"]) == 0
    target = exported(tmp_path / "out", tmp_path / "new", "nerf", *flame)
    require_flame_fits(flame_residuals(tmp_path / "out", target, flame))
