"""The authors' tables as priors, of the shapes that they have, and the three examples of their README."""

import json
import os
import shlex
import shutil
import subprocess

import cv2
import numpy as np
import pytest
import torch

from dataprep.errors import ConfigError
from dataprep.models.body.smpl import STANDIN_PATH, load_body
from gan.animation.animate_labels import draw_motion, draw_person
from gan.animation.sampler_tables import find_tables, read_tables
from gan.checkpoint import Bases, read_checkpoint, save_checkpoint
from gan.errors import BasisError
from gan.rendering.body_arrays import body_arrays
from gan.rendering.generator import Generator
from pipelines.main import main
from tests.gan.conftest import HERE, TINY
from tests.licensed_files import write_smpl_pickle

ROOT = HERE.parents[1]
# Of different lengths, as nothing says that they agree.
SHAPES = {
    "camera_pose_joint_sample.npy": (300, 20),
    "id_shape_sampler_body.npy": (200, 90),
    "expression_body.npy": (250, 64),
    "id_face_sampler.npy": (400, 80),
    "expression_face.npy": (350, 64),
}


def write_tables(folder):
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    for name, shape in SHAPES.items():
        values = random.standard_normal(shape)
        if name.startswith("camera"):
            values = 0.1 * values + np.pi / 2 * (np.arange(20) < 2)
        np.save(folder / name, values)
    return folder


def tiny_checkpoint(path, body_name: str, face_name: str):
    torch.manual_seed(0)
    body = load_body(STANDIN_PATH)
    save_checkpoint(path, Generator(body_arrays(body), TINY), Bases(body_name, body.sha256, face_name, "f" * 64))
    return path


@pytest.fixture
def tables(theirs):
    return theirs / "sampler_npy"


@pytest.fixture(scope="module")
def licensed(tmp_path_factory):
    """Weights of a training on SMPL and BFM, by their names."""
    return tiny_checkpoint(tmp_path_factory.mktemp("licensed") / "generator.pt", "SMPL_NEUTRAL", "BFM_model_front")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory, licensed):
    """Their checkout's files by names and shapes: weights, tables, single key frames and a real video's."""
    folder, random = tmp_path_factory.mktemp("theirs"), np.random.default_rng(1)
    write_tables(folder / "sampler_npy")
    for name in ("ckpts", "smpl_models", "keyframes/real_video_examples/sample1"):
        (folder / name).mkdir(parents=True)
    shutil.copy(licensed, folder / "ckpts/sshq512.pt")
    np.save(folder / "smpl_models/valid_smpl_knn_index.npy", np.arange(0, 6890, 2))
    keys, sample = folder / "keyframes", folder / "keyframes/real_video_examples/sample1"
    np.save(keys / "expression.npy", random.standard_normal((2, 64)))
    np.save(keys / "pose.npy", 0.1 * random.standard_normal((3, 6, 3)))
    np.save(sample / "expression.npy", random.standard_normal((4, 64)))
    np.save(sample / "joint_eulers.npy", 0.1 * random.standard_normal((4, 6, 3)))
    np.save(sample / "camera_pose.npy", np.pi / 2 + 0.1 * random.standard_normal((4, 2)))
    return folder


def test_people_and_motions_are_rows_of_the_tables(tables, licensed):
    labels = read_tables(tables, read_checkpoint(licensed))
    people, motions, expressions = (
        np.load(tables / name).astype(np.float32)
        for name in ("id_shape_sampler_body.npy", "camera_pose_joint_sample.npy", "expression_body.npy")
    )
    for seed in range(5):
        person, motion = draw_person(labels, seed), draw_motion(labels, seed, 40)
        assert (people == np.concatenate([person.identity_1K, person.betas_1K], 1)).all(1).any()
        together = np.concatenate([motion.camera_N2, motion.pose_N63.reshape(-1, 18)], 1)
        assert all((motions == row).all(1).any() for row in together)
        assert all((expressions == row).all(1).any() for row in motion.expression_N64)
    many = draw_motion(labels, 0, 4000)
    assert len(np.unique(many.camera_N2, axis=0)) == 300  # every row of every table can be drawn
    assert len(np.unique(many.expression_N64, axis=0)) == 250


def animate(out, *options) -> dict[str, bytes]:
    """What the command writes, by file name."""
    assert main(["animate", *options, "--out", str(out), "--threads", "1", "--views", "portrait"]) == 0
    return {path.name: path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def frames_and_rate(file) -> tuple[int, float]:
    capture = cv2.VideoCapture(str(file))
    return int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS)


def test_one_command_makes_the_three_examples_of_their_readme(theirs, tmp_path):
    """As `make` would run them, with smaller weights."""
    made = ["make", "-n", "authors-examples", f"THEIRS={theirs}", f"VIDEOS={tmp_path}"]
    lines = subprocess.run(made, cwd=ROOT, capture_output=True, text=True, check=True).stdout.replace("\\\n", "")
    commands = [shlex.split(line)[1:] for line in lines.splitlines() if "shhq-hs animate" in line]
    assert len(commands) == 3
    for command in commands:
        assert main([*command, "--threads", "1", "--views", "portrait"]) == 0
    made_of = {name: frames_and_rate(tmp_path / name / "seed-0042/portrait.mp4") for name in os.listdir(tmp_path)}
    assert made_of == {"expressions": (60, 30), "poses": (90, 30), "real-video": (4, 12.5)}
    record = json.loads((tmp_path / "expressions/animate.json").read_text())
    assert (record["labels"], record["n_interval"]) == ("sampler_npy", 30)

    weights = ["--checkpoint", str(theirs / "ckpts/sshq512.pt"), "--priors", str(theirs / "sampler_npy")]
    nearest = ["--nearest", str(theirs / "smpl_models/valid_smpl_knn_index.npy")]
    sample = ["--keyframes", str(theirs / "keyframes/real_video_examples/sample1"), "--seeds", "42", "--fps", "12.5"]
    folder = animate(tmp_path / "folder", *weights, *nearest, *sample)
    for name in ("portrait.png", "portrait.mp4"):
        assert folder[name] == next((tmp_path / "real-video").rglob(name)).read_bytes()


def test_random_people_move_as_in_the_tables(licensed, tables, tmp_path):
    drawn = ["--checkpoint", str(licensed), "--frames", "3", "--seeds", "0,1", "--kinds", "png", "--priors"]
    first = animate(tmp_path / "a", *drawn, str(tables))
    assert first == animate(tmp_path / "b", *drawn, str(tables))
    assert json.loads(first["animate.json"])["labels"] == "sampler_npy"
    other = write_tables(tmp_path / "other")
    people = np.load(other / "id_shape_sampler_body.npy")
    np.save(other / "id_shape_sampler_body.npy", people * (np.arange(90) < 80))  # the same people in the mean body
    assert first["portrait.png"] != animate(tmp_path / "c", *drawn, str(other))["portrait.png"]


def test_tables_are_found_and_refused(licensed, tables, tmp_path, monkeypatch):
    checkpoint = read_checkpoint(licensed)
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(tmp_path / "assets"))
    with pytest.raises(ConfigError, match=r"--priors .*absent: no such folder.*sampler_npy.*id_shape_sampler_body"):
        find_tables(tmp_path / "absent", checkpoint)
    write_tables(tmp_path / "assets/sampler_npy")
    assert find_tables(None, checkpoint) is None  # ours: nothing is guessed
    assert find_tables(tmp_path / "sampler_npy", checkpoint) == tmp_path / "assets/sampler_npy"
    standin = read_checkpoint(tiny_checkpoint(tmp_path / "standin.pt", "body_anny", "face_anny"))
    with pytest.raises(BasisError, match=r"SMPL and BFM.*'body_anny' and the face model 'face_anny'.*--labels"):
        read_tables(tables, standin)


@pytest.mark.parametrize("name", list(SHAPES)[:3])
def test_a_table_of_another_shape_is_named(licensed, tmp_path, name):
    folder, width = write_tables(tmp_path / "sampler_npy"), SHAPES[name][1]
    np.save(folder / name, np.zeros((9, width + 1)))
    with pytest.raises(ConfigError, match=rf"--priors .*{name}: has shape \[9, {width + 1}\], expected \[N, {width}\]"):
        read_tables(folder, read_checkpoint(licensed))
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=rf"{name}: no such file"):
        read_tables(folder, read_checkpoint(licensed))


@pytest.mark.slow
def test_with_their_weights_smpl_and_tables_in_place(theirs, published_state_arrays, tmp_path, monkeypatch, capsys):
    """Everything of its true size and in the assets folder: names alone are enough."""
    assets = tmp_path / "assets"
    monkeypatch.setenv("SHHQ_HS_ASSETS", str(assets))
    write_tables(assets / "sampler_npy")
    write_smpl_pickle(assets / "SMPL_NEUTRAL.pkl")
    torch.save(published_state_arrays, assets / "sshq512.pt")
    np.save(assets / "valid_smpl_knn_index.npy", np.arange(0, 6890, 2))
    command = [
        "animate",
        "--checkpoint",
        "sshq512.pt",
        "--exp-path",
        str(theirs / "keyframes/expression.npy"),
        "--n-interval",
        "30",
    ]
    small = ["--frames", "1", "--preview", "--kinds", "png", "--views", "portrait", "--threads", "1"]
    assert main([*command, "--fps", "30", *small, "--out", str(tmp_path / "out")]) == 0
    record = json.loads((tmp_path / "out/animate.json").read_text())
    assert (record["published_weights"], record["labels"]) == (True, "sampler_npy")
    assert cv2.imread(str(tmp_path / "out/portrait.png")).shape == (256, 256, 3)
    assert "note:" not in capsys.readouterr().err
