"""`shhq-hs animate`: every kind of file from a random tiny checkpoint, tracks in and out, and errors that help."""

import dataclasses
import json
import math

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from dataprep.errors import ConfigError
from dataprep.models.body.smpl import STANDIN_PATH, load_body
from gan.animation.animate_labels import draw_motion, draw_person, open_labels, prior_labels
from gan.animation.frame_files import depth_pixels
from gan.animation.keyframes import read_keyframes
from gan.animation.playable_films import Film
from gan.animation.tracks import Track, interpolate, neutral_track, orbit, read_track
from gan.checkpoint import Bases, published_state, save_checkpoint
from gan.config import preview
from gan.rendering.body_arrays import body_arrays
from gan.rendering.both_views import face_label, render_views
from gan.rendering.cameras import camera_origin
from gan.rendering.generator import Generator
from gan.rendering.posed_body import pose_rotations
from pipelines.main import main
from tests.gan.conftest import TINY, codes, tiny_generator

BASES = Bases("body_anny", load_body(STANDIN_PATH).sha256, "face_anny", "f" * 64)
OUTPUTS = {
    *("animate.json", "portrait.png", "face.png"),
    *(f"seed-{s:04d}/{v}{end}" for s in (1, 4) for v in ("portrait", "face") for end in (".mp4", ".gif", "-depth.mp4")),
    *(f"seed-{s:04d}/canonical.{end}" for s in (1, 4) for end in ("ply", "obj")),
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    file = tmp_path_factory.mktemp("checkpoint") / "tiny.pt"
    torch.manual_seed(0)
    generator = Generator(body_arrays(load_body(STANDIN_PATH)), TINY)
    torch.nn.init.normal_(generator.deform_net.final_layer.weight, 0, 0.01)
    save_checkpoint(file, generator, BASES)
    return file


def label_table(rows: int = 5, bases: Bases = BASES) -> pa.Table:
    """The columns of a manifest that animation reads; the last row was rejected and holds nulls."""
    random = np.random.default_rng(0)
    table = {"selected": [True] * (rows - 1) + [False]}
    for name, size, mean, std in (
        ("bfm_exp", 64, 0, 1),
        ("joints_zyx", 18, 0, 0.1),
        ("camera_pitch_yaw", 2, np.pi / 2, 0.2),
        ("bfm_id", 80, 0, 1),
        ("smpl_betas", 10, 0, 1),
    ):
        table[name] = [*(mean + std * random.standard_normal((rows - 1, size))).astype(np.float32).tolist(), None]
    for field, name in dataclasses.asdict(bases).items():
        table[field.replace("_name", "_model").replace("_sha256", "_model_sha256")] = [name] * rows
    return pa.table(table)


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "data").mkdir()
    pq.write_table(label_table(), tmp_path / "data/manifest.parquet")
    return tmp_path / "data"


def some_track(frames=4, seed=0) -> Track:
    given = codes(frames, seed)
    return Track(*(given[name].numpy() for name in ("z_exp_BK", "pose_BP3", "camera_B2")))


def write_keys(folder, track):
    folder.mkdir(exist_ok=True)
    for name, values in zip(
        ("expression", "pose", "camera"), (track.expression_N64, track.pose_N63, track.camera_N2), strict=True
    ):
        np.save(folder / f"{name}.npy", values)
    return folder


def video(path) -> np.ndarray:
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return np.array(frames)


def contents(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# -- the command


def test_every_kind_of_file_and_the_same_bytes_again(checkpoint, dataset, tmp_path, capsys):
    command = ["animate", "--checkpoint", str(checkpoint), "--labels", str(dataset), "--threads", "1", "--frames", "5"]
    kinds = ["--interpolate", "--kinds", "mp4,gif,png,depth,mesh"]
    assert main([*command, *kinds, "--seeds", "1,4", "--out", str(tmp_path / "a")]) == 0
    assert "12/12 pieces" in capsys.readouterr().err
    first = contents(tmp_path / "a")
    assert first.keys() == OUTPUTS
    assert main([*command, *kinds, "--seeds", "1,4", "--out", str(tmp_path / "b")]) == 0
    assert contents(tmp_path / "b") == first

    assert main([*command, *kinds, "--seeds", "4", "--out", str(tmp_path / "c")]) == 0
    alone = contents(tmp_path / "c")
    assert {name: data for name, data in alone.items() if name.startswith("seed-")} == {
        name: data for name, data in first.items() if name.startswith("seed-0004")
    }

    grid = np.asarray(Image.open(tmp_path / "a/portrait.png"))
    assert grid.shape == (2 * 40, 5 * 40, 3)
    frames = video(tmp_path / "a/seed-0001/portrait.mp4")
    assert frames.shape == (5, 40, 40, 3)
    still = np.stack(np.split(grid[:40], 5, axis=1)).astype(float)
    assert np.abs(frames - still).mean() < 20  # the codec halves colour and these weights are noise
    assert np.abs(frames - still).mean() < 0.7 * np.abs(frames[::-1] - still).mean()
    gif = Image.open(tmp_path / "a/seed-0001/face.gif")
    shown_ms = [gif.seek(i) or gif.info["duration"] for i in range(gif.n_frames)]  # equal neighbours become one frame
    assert (sum(shown_ms), gif.size) == (5 * 40, (20, 20))
    assert video(tmp_path / "a/seed-0001/portrait-depth.mp4").std() > 5
    record = json.loads(first["animate.json"])
    assert record["bases"] == dataclasses.asdict(BASES)
    assert str(tmp_path) not in first["animate.json"].decode()


def test_key_frames_drive_the_frames_and_preview_is_smaller(checkpoint, tmp_path):
    keys = write_keys(tmp_path / "keys", some_track(2))
    command = ["animate", "--checkpoint", str(checkpoint), "--keyframes", str(keys), "--threads", "1", "--kinds", "png"]
    command += ["--views", "portrait"]
    assert main([*command, "--out", str(tmp_path / "two")]) == 0
    assert main([*command, "--interpolate", "--frames", "3", "--out", str(tmp_path / "three")]) == 0
    two, three = (np.asarray(Image.open(tmp_path / name / "portrait.png")) for name in ("two", "three"))
    assert np.array_equal(two[:, :40], three[:, :40])
    assert np.array_equal(two[:, 40:], three[:, 80:])
    assert not np.array_equal(two[:, :40], two[:, 40:])
    assert not (tmp_path / "two/face.png").exists()


def test_errors_say_what_to_do(checkpoint, dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(tmp_path / "assets"))
    published = tmp_path / "sshq512.pt"
    torch.save(published_state(tiny_generator()), published)
    pq.write_table(label_table(bases=dataclasses.replace(BASES, face_sha256="e" * 64)), tmp_path / "other.parquet")
    (tmp_path / "index.npy").write_bytes(b"")
    np.save(tmp_path / "far.npy", np.array([0, 20000]))
    ours, keys = ["--checkpoint", str(checkpoint)], str(write_keys(tmp_path / "keys", some_track()))
    for arguments, words in (
        (["--checkpoint", "absent.pt"], ("absent.pt", "no such file", "sshq512.pt", "github.com", "shhq-hs train")),
        (["--checkpoint", str(published), "--labels", str(dataset)], ("SMPL and BFM", "body_anny", "face_anny")),
        (["--checkpoint", str(published)], ("6890", "SMPL_NEUTRAL")),
        ([*ours, "--body", str(STANDIN_PATH.with_name("face_anny.npz"))], ("trained with body model body_anny",)),
        ([*ours, "--body", "absent.npz"], ("--body=absent.npz", "no such file")),
        ([*ours, "--track", str(tmp_path / "other.parquet")], ("never mix",)),
        ([*ours, "--track", str(checkpoint)], ("not a parquet file",)),
        ([*ours, "--labels", str(tmp_path)], ("manifest.parquet", "shhq-hs run")),
        ([*ours, "--keyframes", keys, "--frames", "9"], ("--frames 9", "--interpolate")),
        ([*ours, "--keyframes", keys, "--n-interval", "2", "--frames", "9"], ("make 8", "raise --n-interval")),
        ([*ours, "--priors", str(tmp_path)], ("SMPL and BFM", "body_anny", "--labels OUT")),
        ([*ours, "--keyframes", keys, "--track", keys], ("expected one of them",)),
        ([*ours, "--nearest", str(tmp_path / "index.npy")], ("index.npy", "cannot", "read")[:1]),
        ([*ours, "--nearest", str(tmp_path / "far.npy")], ("20000", "another body")),
        ([*ours, "--kinds", "mov"], ("--kinds mov", "mp4,gif,png,depth,mesh")),
        ([*ours, "--psi", "1.5"], ("--psi 1.5",)),
        ([*ours, "--seeds", "1-x"], ("--seeds 1-x", "0-7")),
        ([*ours, "--seeds", "1,1"], ("different numbers",)),
        ([*ours, "--device", "tpu"], ("device 'tpu'", "expected auto, cpu or cuda")),
    ):
        assert main(["animate", *arguments, "--out", str(tmp_path / "none")]) == 2, arguments
        said = capsys.readouterr().err
        assert all(word in said for word in words), said
    assert not (tmp_path / "none").exists()


# -- tracks


@pytest.mark.parametrize("frames", [4, 7, 10, 5])
def test_interpolation_begins_and_ends_at_key_frames_and_passes_them(frames):
    keys = some_track(4)
    moved = interpolate(keys, frames)
    assert len(moved) == frames
    for name in ("expression_N64", "pose_N63", "camera_N2"):
        ours, theirs = getattr(moved, name), getattr(keys, name)
        assert np.array_equal(ours[[0, -1]], theirs[[0, -1]])
        if (frames - 1) % 3 == 0:
            assert np.array_equal(ours[:: (frames - 1) // 3], theirs)
        assert ours.dtype == np.float32


def test_joints_turn_at_constant_speed_along_the_shortest_way():
    keys = dataclasses.replace(some_track(2), pose_N63=1.2 * some_track(2, 3).pose_N63 / 0.1)
    moved = interpolate(keys, 9)
    rotations = pose_rotations(torch.from_numpy(moved.pose_N63).double())[:, 12:18]
    steps = rotations[1:] @ rotations[:-1].mT
    angles = ((steps.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).arccos()
    whole = rotations[-1] @ rotations[0].mT
    total = ((whole.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1).arccos()
    torch.testing.assert_close(angles, (total / 8).expand_as(angles), atol=1e-5, rtol=0)


def test_one_key_frame_stands_still_and_an_orbit_closes():
    still = interpolate(some_track(1), 6)
    assert np.array_equal(still.pose_N63, np.repeat(some_track(1).pose_N63, 6, 0))
    camera = orbit(neutral_track(16)).camera_N2.astype(float)
    steps = np.linalg.norm(np.diff(camera, axis=0, append=camera[:1]), axis=1)
    assert steps.max() < 3.5 * steps.min()  # no jump where it closes
    np.testing.assert_allclose(camera.mean(0), np.pi / 2, atol=1e-6)


def test_key_frame_files_round_trip_in_the_published_layout(tmp_path):
    track = some_track(3)
    back = read_keyframes(write_keys(tmp_path, track))
    for name in ("expression_N64", "pose_N63", "camera_N2"):
        assert np.array_equal(getattr(back, name), getattr(track, name))


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("pose", np.zeros((3, 18)), r"pose\.npy: has shape \[3, 18\], expected \[N, 6, 3\]"),
        ("expression", np.zeros((3, 65)), r"expected \[N, 64\]"),
        ("camera", np.zeros(2), r"camera\.npy: has shape \[2\], expected \[N, 2\]"),
        ("camera", np.zeros((2, 2)), "expression 3, pose 3, camera 2"),
        ("camera", np.array([[0, 0], [0, np.nan], [0, 0]]), "row 1 is not finite"),
        ("camera", np.array([[0, 0], [0, 1e39], [0, 0]]), "row 1 is not finite as float32"),
        ("expression", np.full((3, 64), -1e300), "row 0 is not finite as float32"),
        ("camera", np.array([["a", "b"]] * 3), "expected numbers"),
        ("camera", np.array([[None, 1]] * 3), "not an array that can be read"),
    ],
)
def test_key_frame_files_of_another_layout_are_refused(tmp_path, name, values, message):
    write_keys(tmp_path, some_track(3))
    np.save(tmp_path / f"{name}.npy", values)
    with pytest.raises(ConfigError, match=message):
        read_keyframes(tmp_path)


def test_a_manifest_is_a_track_of_its_accepted_rows_and_frames_are_sorted(tmp_path):
    table = label_table()
    pq.write_table(table, tmp_path / "m.parquet")
    track = read_track(tmp_path / "m.parquet")
    assert (len(track), track.bases) == (4, BASES)
    np.testing.assert_array_equal(track.camera_N2, np.array(table["camera_pitch_yaw"].to_pylist()[:4], np.float32))
    pq.write_table(table.slice(0, 4).append_column("frame", pa.array([3, 1, 0, 2])), tmp_path / "f.parquet")
    np.testing.assert_array_equal(read_track(tmp_path / "f.parquet").camera_N2, track.camera_N2[[2, 1, 3, 0]])
    pq.write_table(table.drop_columns("selected"), tmp_path / "null.parquet")
    with pytest.raises(ConfigError, match="row 4 holds null"):
        read_track(tmp_path / "null.parquet")
    pq.write_table(table.drop_columns("joints_zyx"), tmp_path / "less.parquet")
    with pytest.raises(ConfigError, match="no column joints_zyx"):
        read_track(tmp_path / "less.parquet")


def test_a_track_that_is_not_finite_as_float32_is_refused(tmp_path):
    table = label_table().slice(0, 4)
    at = table.schema.get_field_index("camera_pitch_yaw")
    for value in (1e39, float("nan"), None):
        huge = pa.array([[1.5, 1.5], [1.5, value], [1.5, 1.5], [1.5, 1.5]], pa.list_(pa.float64()))
        pq.write_table(table.set_column(at, "camera_pitch_yaw", huge), tmp_path / "t.parquet")
        with pytest.raises(ConfigError, match="column camera_pitch_yaw, row 1 is not finite as float32"):
            read_track(tmp_path / "t.parquet")


# -- draws


def test_draws_keep_rows_together_and_depend_on_their_seed_alone(dataset):
    labels = open_labels(dataset)
    assert labels.bases == BASES
    for seed in range(6):
        person = draw_person(labels, seed)
        row = np.flatnonzero((labels.identity_N80 == person.identity_1K).all(1))
        assert np.array_equal(labels.betas_N10[row], person.betas_1K)
        motion = draw_motion(labels, seed, 5)
        for camera, pose in zip(motion.camera_N2, motion.pose_N63, strict=True):
            row = np.flatnonzero((labels.camera_M2 == camera).all(1))
            assert np.array_equal(labels.pose_M63[row[0]], pose)
        assert np.array_equal(draw_motion(labels, seed, 3).camera_N2, motion.camera_N2[:3])
    assert not np.array_equal(draw_person(labels, 0).noise_1K, draw_person(labels, 1).noise_1K)


def test_shards_without_their_manifest_hold_labels_too_and_outliers_stay_out(dataset):
    """An identity that lies far out is not drawn, its expression and its pose are; validation rows are not read."""
    pq.write_table(label_table(21), dataset / "manifest.parquet")
    whole = open_labels(dataset)
    table = pq.read_table(dataset / "manifest.parquet").slice(0, 20)
    far = [np.multiply(row, 50 if i == 3 else 1).tolist() for i, row in enumerate(table["bfm_id"].to_pylist())]
    table = table.set_column(table.schema.get_field_index("bfm_id"), "bfm_id", pa.array(far))
    table = table.append_column("split", pa.array(["train"] * 16 + ["val"] * 4))
    (dataset / "shards").mkdir()
    for i in range(2):
        pq.write_table(table.slice(8 * i, 8), dataset / f"shards/train-0000{i}.parquet")
    pq.write_table(table.slice(16), dataset / "shards/val-00000.parquet")
    (dataset / "manifest.parquet").unlink()
    labels = open_labels(dataset)
    assert np.array_equal(labels.identity_N80, whole.identity_N80[[i for i in range(16) if i != 3]])
    assert np.array_equal(labels.betas_N10, whole.betas_N10[[i for i in range(16) if i != 3]])
    assert np.array_equal(labels.expression_E64, whole.expression_E64[:16])
    assert np.array_equal(labels.pose_M63, whole.pose_M63[:16])
    assert prior_labels().bases is None
    pq.write_table(table.drop_columns("body_model"), dataset / "shards/train-00000.parquet")
    with pytest.raises(ConfigError, match="no column body_model"):  # an old data set: nobody knows what its labels mean
        open_labels(dataset)


# -- cameras


@torch.inference_mode()
def test_the_face_camera_stands_where_the_portrait_camera_looks_from(tiny):
    given = codes(3)
    label_B2 = face_label(tiny, given["betas_1K"], given["pose_BP3"], given["camera_B2"])
    body = tiny.body(given["betas_1K"].expand(3, -1), given["pose_BP3"])
    carried = body.posed_from_canonical_head_B34[..., :3] @ camera_origin(label_B2, 1.0)[..., None]
    torch.testing.assert_close(carried[..., 0], camera_origin(given["camera_B2"], 1.0), atol=1e-5, rtol=0)
    still = face_label(tiny, given["betas_1K"], torch.zeros(3, 6, 3), given["camera_B2"])
    torch.testing.assert_close(still, given["camera_B2"], atol=1e-5, rtol=0)


@torch.inference_mode()
def test_both_cameras_from_one_call(tiny):
    given = codes(2)
    identity = tiny.identity(given["z_id_1K"], given["noise_1K"], given["betas_1K"])
    drive = given["z_exp_BK"], given["pose_BP3"], given["camera_B2"]
    views = render_views(tiny, identity, *drive)
    alone = tiny.frames(identity, *drive, "portrait")
    assert torch.equal(views["portrait"].image_B3HW, alone.image_B3HW)
    assert views["face"].image_B3HW.shape == (2, 3, 20, 20)
    quick = render_views(tiny, identity, *drive, ("face",), preview(dataclasses.replace(TINY, ray_size=20)))
    assert quick.keys() == {"face"}


# -- files


def test_odd_frames_survive_the_codec(tmp_path):
    ramp = np.linspace(40, 220, 33 * 47).reshape(33, 47, 1).repeat(3, 2)
    frames = [np.clip(ramp + 5 * i, 0, 255).astype(np.uint8) for i in range(6)]
    file = Film(tmp_path / "v.mp4", 10.0, 33, 47)
    for frame in frames:
        file.add(frame)
    file.close()
    back = video(tmp_path / "v.mp4")
    assert back.shape == (6, 34, 48, 3)
    error = back[:, :33, :47].astype(float) - np.stack(frames)
    assert 20 * math.log10(255 / np.sqrt((error**2).mean())) > 30
    assert [p.name for p in tmp_path.iterdir()] == ["v.mp4"]


def test_depth_is_bright_near_and_black_where_nothing_is():
    depth = torch.tensor([[1.0, 1.5, 2.0, torch.nan]])
    grey = depth_pixels(depth, torch.tensor([[1.0, 1.0, 1.0, 0.0]]), 1.0, 2.0)[0, :, 0]
    assert grey.tolist() == [255, 140, 26, 0]


def test_a_folder_that_is_a_file_is_named(checkpoint, tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    command = ["animate", "--checkpoint", str(checkpoint), "--threads", "1", "--frames", "1", "--psi", "1"]
    assert main([*command, "--out", str(tmp_path / "taken")]) == 2
    assert "cannot be written" in capsys.readouterr().err
