"""Key frames as the authors released them: their names, their single files of different lengths, their intervals."""

import re
from pathlib import Path

import numpy as np
import pytest

from dataprep.errors import ConfigError
from gan.animation.animation_request import Animation
from gan.animation.keyframes import at_intervals, read_keyframes, read_single_files
from gan.animation.tracks import SHAPES, Track, neutral_track

AUTHORS_NAMES = {"expression": "expression.npy", "pose": "joint_eulers.npy", "camera": "camera_pose.npy"}


def arrays(frames: int = 7, dtype: type = np.float64) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    drawn = {part: 0.2 * random.standard_normal((frames, *shape)) for part, shape in SHAPES.items()}
    return {part: (values + np.pi / 2 * (part == "camera")).astype(dtype) for part, values in drawn.items()}


def written(folder, given, names=AUTHORS_NAMES):
    folder.mkdir(exist_ok=True)
    for part, values in given.items():
        np.save(folder / names[part], values)
    return {part: folder / names[part] for part in given}


def parts(track: Track) -> dict[str, np.ndarray]:
    return {"expression": track.expression_N64, "pose": track.pose_N63, "camera": track.camera_N2}


def test_a_folder_of_a_real_video_is_read_as_it_is_and_like_its_files(tmp_path):
    given = arrays()
    files = written(tmp_path / "sample1", given)
    track = read_keyframes(tmp_path / "sample1")
    singly, remark = read_single_files(files)
    assert not remark
    for part, values in given.items():
        assert np.array_equal(parts(track)[part], values.astype(np.float32))
        assert np.array_equal(parts(singly)[part], values.astype(np.float32))


def test_one_file_moves_one_thing(tmp_path):
    for part, values in arrays(5).items():
        track, remark = read_single_files(written(tmp_path / part, {part: values}))
        assert not remark
        still = parts(neutral_track(5)) | {part: values.astype(np.float32)}
        assert all(np.array_equal(values, still[name]) for name, values in parts(track).items())


def test_files_of_different_lengths_last_as_long_as_the_shortest(tmp_path):
    given = {"expression": arrays(5)["expression"], "pose": arrays(8)["pose"]}
    track, remark = read_single_files(written(tmp_path, given))
    assert len(track) == 5
    assert np.array_equal(track.pose_N63, given["pose"][:5].astype(np.float32))
    assert "expression 5, pose 8" in remark
    assert "first 5" in remark


def test_frames_between_key_frames_are_the_authors(tmp_path):
    """By hand: (1 - k) a + k b towards the next key frame, at last towards the first."""
    given = arrays(3)
    keys, _ = read_single_files(written(tmp_path, given))
    moved = at_intervals(keys, 4)
    for part, values in given.items():
        closed = [*values, values[0]]
        by_hand = [(1 - j / 4) * closed[i] + j / 4 * closed[i + 1] for i in range(3) for j in range(4)]
        np.testing.assert_allclose(parts(moved)[part], by_hand, atol=1e-6)
        assert parts(moved)[part].dtype == np.float32
        assert np.array_equal(parts(at_intervals(keys, 1))[part], values.astype(np.float32))
    assert len(at_intervals(keys.rows(slice(1)), 30)) == 30  # one key frame stands still


@pytest.mark.parametrize(
    ("part", "values", "message"),
    [
        ("expression", np.zeros((5, 80)), "--exp-path .*expression.npy: has shape [5, 80], expected [N, 64]"),
        ("expression", np.zeros(64), "--exp-path .*expression.npy: has shape [64], expected [N, 64]"),
        ("pose", np.zeros((5, 24, 3)), "--pose-path .*joint_eulers.npy: has shape [5, 24, 3], expected [N, 6, 3]"),
        ("camera", np.zeros((5, 3)), "--cam-path .*camera_pose.npy: has shape [5, 3], expected [N, 2]"),
        ("camera", np.zeros((0, 2)), "--cam-path .*camera_pose.npy: has shape [0, 2], expected [N, 2] with at least"),
        ("camera", np.array(1.0), "--cam-path .*camera_pose.npy: has shape [], expected [N, 2]"),
        ("camera", np.array([[0, 1], [np.inf, 0]]), "--cam-path .*camera_pose.npy: row 1 is not finite"),
        ("camera", np.array([["a", "b"]]), "holds <U1, expected numbers"),
    ],
)
def test_other_arrays_are_refused_by_file_shape_and_what_was_expected(tmp_path, part, values, message):
    files = written(tmp_path, {part: values})
    with pytest.raises(ConfigError, match=re.escape(message).replace(r"\.\*", ".*")):
        read_single_files(files)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    whole = written(tmp_path, {"camera": arrays()["camera"]})["camera"]
    whole.write_bytes(whole.read_bytes()[:-9])
    np.savez(tmp_path / "pose.npz", arrays()["pose"])
    for part, path in (("camera", whole), ("pose", tmp_path / "pose.npz")):
        with pytest.raises(ConfigError, match="not an array that can be read"):
            read_single_files({part: path})
    with pytest.raises(ConfigError, match=r"--exp-path .*: no such file; expected an array \[N, 64\]"):
        read_single_files({"expression": tmp_path / "absent.npy"})


def test_a_folder_that_is_no_track_says_what_to_type(tmp_path):
    single = written(tmp_path / "keyframes", {part: arrays()[part] for part in ("expression", "pose")})
    with pytest.raises(ConfigError, match=r"no camera\.npy or camera_pose\.npy.*--exp-path"):
        read_keyframes(tmp_path / "keyframes")  # their folder of single files
    np.save(tmp_path / "keyframes/camera.npy", arrays(6)["camera"])
    with pytest.raises(ConfigError, match=r"expression 7, pose 7, camera 6.*--exp-path FILE"):
        read_keyframes(tmp_path / "keyframes")
    np.save(tmp_path / "keyframes/pose.npy", np.load(single["pose"]))
    with pytest.raises(ConfigError, match=r"both pose\.npy and joint_eulers\.npy"):
        read_keyframes(tmp_path / "keyframes")


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"exp_path": "a", "keyframes": "b"}, "--keyframes and --exp-path: expected one of them"),
        ({"cam_path": "a", "track": "b"}, "--track and --cam-path: expected one of them"),
        ({"n_interval": 30}, "--n-interval 30: .*--keyframes DIR or --exp-path, --pose-path, --cam-path"),
        ({"exp_path": "a", "n_interval": 0}, "--n-interval 0: expected a whole number from 1 on"),
        ({"exp_path": "a", "n_interval": 2, "interpolate": True}, "--n-interval and --interpolate"),
        ({"labels": "a", "priors": "b"}, "--labels and --priors"),
    ],
)
def test_choices_that_contradict_each_other(tmp_path, choices, message):
    with pytest.raises(ConfigError, match=message):
        Animation(
            tmp_path, **{name: Path(value) if isinstance(value, str) else value for name, value in choices.items()}
        )
