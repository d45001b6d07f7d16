"""`shhq-hs track` from video to file: a clip with faults, a stop in the middle, nobody there, the sample's truth."""

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.spatial.transform import Rotation

from dataprep.fits.generator_labels import pitch_yaw, rotations_from_joints_zyx
from dataprep.tables.columns import rows_from_table
from dataprep.tracking import detection_chunks, tracker
from dataprep.tracking.follow import Sighting
from gan.animation.keyframes import read_keyframes
from gan.animation.tracks import read_track
from pipelines.accuracy.tracked_clip import clip_accuracy, compare_tracks
from pipelines.engine.progress import Progress
from pipelines.main import main
from tests.tracking.clips import (
    CLIP,
    CUT,
    DROPOUT,
    FAULTY_FRAMES,
    OCCLUSION,
    RESTLESS_CUT,
    clip_pictures,
    faulty_pictures,
    restless_pictures,
    write_pts,
    write_video,
)


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    """A folder with a clip with faults, tracked by a run that was stopped at frame 20 and one that went on."""
    folder = tmp_path_factory.mktemp("faulty")
    video = write_video(folder / "faulty.mp4", faulty_pictures())
    command = ["track", str(video), "-o", str(folder / "track.parquet"), "--npy", str(folder / "keys")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(detection_chunks, "CHUNK_FRAMES", 16)
        patch.setattr(tracker, "CHUNK_FRAMES", 16)
        assert main_stopped_at(20, command) == (130, 20)
        assert len(list((folder / "track.parquet.parts").glob("chunk-*.parquet"))) == 1
        assert main_stopped_at(None, command) == (0, FAULTY_FRAMES - 16)
    return folder


def main_stopped_at(frame, command):
    """Run a command, with Ctrl-C when so many frames were looked at; returns its status and the frames looked at."""
    advance, looked = Progress.advance, []

    def counting(self, stage, rows, seconds):
        advance(self, stage, rows, seconds)
        if stage == "look" and seconds:
            looked.append(rows)
            if sum(looked) == frame:
                raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "advance", counting)
        return main(command), sum(looked)


@pytest.fixture(scope="module")
def table(faulty):
    return pq.read_table(faulty / "track.parquet")


def flagged(table, flag):
    return np.flatnonzero(table[f"flag_{flag}"].to_pylist()).tolist()


def test_dropout_occlusion_and_cut_are_flagged(table):
    assert table["frame"].to_pylist() == list(range(FAULTY_FRAMES))
    lost, occluded = set(flagged(table, "lost")), set(flagged(table, "occluded"))
    assert set(DROPOUT) <= lost
    assert lost | occluded == {*DROPOUT, *OCCLUSION}
    assert occluded == set(OCCLUSION)
    assert flagged(table, "cut") == [CUT]
    assert flagged(table, "interpolated") == [*DROPOUT, *OCCLUSION]
    assert flagged(table, "held") == []
    assert table["shot"].to_pylist() == [0] * CUT + [1] * (FAULTY_FRAMES - CUT)


def test_every_frame_has_labels_and_raw_ones_only_where_measured(table):
    for column in ("bfm_exp", "joints_zyx", "camera_pitch_yaw"):
        smooth, raw = table[column].to_pylist(), table[f"{column}_raw"].to_pylist()
        assert np.isfinite(np.array(smooth, np.float64)).all()
        assert [i for i, value in enumerate(raw) if value is None and i in DROPOUT] == list(DROPOUT)
        assert raw[0] is not None
    assert len({tuple(row) for row in table["bfm_id"].to_pylist()}) == 1


def test_bridged_frames_follow_the_truth(table):
    truth = pq.read_table(CLIP / "talking.parquet")
    names = {"joints_zyx", "camera_pitch_yaw", "bfm_exp", "head_from_3dmm"}
    bridged = table.filter(table["flag_interpolated"])
    for name in names:
        field = bridged.schema.field(name).with_name(f"{name}_raw")
        bridged = bridged.set_column(bridged.column_names.index(field.name), field, bridged[name])
    errors = compare_tracks(bridged, truth)
    assert errors["frames"] == len(DROPOUT) + len(OCCLUSION)
    assert errors["smoothed"]["head_3dmm"]["median_deg"] < 6


def test_the_exported_key_frames_are_the_track(faulty):
    keys, frames = read_keyframes(faulty / "keys"), read_track(faulty / "track.parquet")
    assert keys.pose_N63.shape == (FAULTY_FRAMES, 6, 3)
    for name in ("expression_N64", "pose_N63", "camera_N2"):
        np.testing.assert_array_equal(getattr(keys, name), getattr(frames, name))
    assert frames.bases is not None
    assert not (faulty / "track.parquet.parts").exists()


def test_a_cut_in_a_restless_picture_is_found_and_the_next_face_followed_at_once(tmp_path):
    output = tmp_path / "track.parquet"
    assert main(["track", str(write_video(tmp_path / "shaken.mp4", restless_pictures())), "-o", str(output)]) == 0
    table = pq.read_table(output)
    assert flagged(table, "cut") == [RESTLESS_CUT]
    assert flagged(table, "lost") == flagged(table, "held") == []
    left_px = np.array(table["face_bbox_px"].to_pylist())[:, 0]
    assert left_px[:RESTLESS_CUT].min() - left_px[RESTLESS_CUT:].max() > 80


def test_another_person_is_not_given_the_pose_of_the_one_who_left(tmp_path):
    """He leaves; she stands beside him all the time, and is followed after two seconds as somebody else."""
    clip = cv2.resize(clip_pictures(0, 1)[0], (256, 256))
    empty = np.full_like(clip, clip[:20].mean(axis=(0, 1)).astype(np.uint8))
    beside = np.ascontiguousarray(cv2.resize(clip[:, ::-1], (224, 224)))
    small = cv2.copyMakeBorder(beside, 32, 0, 16, 16, cv2.BORDER_REPLICATE)
    pictures = [np.hstack([clip, small])] * 6 + [np.hstack([empty, small])] * 18
    output = tmp_path / "track.parquet"
    assert main(["track", str(write_video(tmp_path / "two.mp4", pictures, rate=5)), "-o", str(output)]) == 0
    table = pq.read_table(output)
    (first,) = flagged(table, "cut")
    assert 6 <= first <= 6 + 11
    shot, yaw = np.array(table["shot"].to_pylist()), np.array(table["camera_pitch_yaw"].to_pylist())[:, 1]
    assert shot.tolist() == [0] * first + [1] * (24 - first)
    assert np.ptp(yaw[:first]) < 0.05
    assert np.ptp(yaw[first:]) < 0.05
    assert abs(yaw[first] - yaw[first - 1]) > 0.1  # mirrored: the step is whole, nothing is smoothed across


def test_a_mouth_covered_throughout_is_flagged_though_no_frame_shows_it_bare(tmp_path):
    pictures = clip_pictures(0, 4)
    for picture in pictures:
        cv2.rectangle(picture, (240, 160), (320, 230), (190, 60, 50), -1)
    output = tmp_path / "track.parquet"
    assert main(["track", str(write_video(tmp_path / "cup.mp4", pictures)), "-o", str(output)]) == 0
    assert flagged(pq.read_table(output), "occluded") == [0, 1, 2, 3]


@pytest.mark.parametrize(("turn_deg", "lean_deg", "flags"), [(50, 40, (0, 0)), (-58, 0, (1, 0)), (10, -50, (0, 1))])
def test_heads_turned_or_tilted_too_far_are_flagged(turn_deg, lean_deg, flags):
    tilt = Rotation.from_euler("z", lean_deg, degrees=True).as_matrix()[:2, :2]
    landmarks = np.zeros((68, 2))
    landmarks[36:48], landmarks[48:68] = 100 + tilt @ [0, -30], 100 + tilt @ [0, 30]
    seen = Sighting(landmarks, "mesh", 1.0, np.array([50.0, 50, 150, 150]), 0.9, float(np.radians(turn_deg)))
    assert (tracker._turned_away(seen), tracker._tilted(seen, None)) == flags


def test_annotated_folders_and_faces_without_a_body(tmp_path):
    """300-VW's landmarks are used as they are; a close-up is taken to stand upright."""
    pictures, truth = clip_pictures(0, 4), pq.read_table(CLIP / "talking.parquet")
    (tmp_path / "001/annot").mkdir(parents=True)
    write_video(tmp_path / "001/vid.avi", pictures)
    points = [np.reshape(row, (68, 2)) for row in truth["landmarks68_px"].to_pylist()[:4]]
    for i, landmarks in enumerate(points):
        write_pts(tmp_path / f"001/annot/{i + 1:06d}.pts", landmarks + 0.5)
    close = [cv2.resize(picture[50:230, 190:370], (480, 480)) for picture in pictures]
    write_video(tmp_path / "close.mp4", close)
    found = {}
    for name in ("001", "close.mp4"):
        output = tmp_path / f"{name}.parquet"
        assert main(["track", str(tmp_path / name), "-o", str(output)]) == 0
        found[name] = pq.read_table(output)
        assert compare_tracks(found[name], truth)["smoothed"]["head_3dmm"]["median_deg"] < 5
    assert set(found["001"]["landmarks68_method"].to_pylist()) == {"pts"}
    np.testing.assert_allclose(np.reshape(found["001"]["landmarks68_px"].to_pylist(), (4, 68, 2)), points, atol=1e-3)
    assert flagged(found["close.mp4"], "no_body") == [0, 1, 2, 3]
    assert set(found["close.mp4"]["crop_centre_px"].to_pylist()) == {None}


@pytest.mark.slow
def test_a_run_that_was_not_stopped_writes_the_same_bytes(faulty):
    command = ["track", str(faulty / "faulty.mp4"), "-o", str(faulty / "again.parquet")]
    assert main(command) == 0
    assert (faulty / "again.parquet").read_bytes() == (faulty / "track.parquet").read_bytes()


def test_a_video_without_a_person_says_so(tmp_path, capsys):
    random = np.random.default_rng(0)
    pictures = [random.integers(90, 120, (240, 320, 3)).astype(np.uint8) for _ in range(3)]
    video = write_video(tmp_path / "wall.mp4", pictures)
    assert main(["track", str(video), "-o", str(tmp_path / "o.parquet")]) == 1
    assert "no person was found in any of the 3 frames" in capsys.readouterr().out
    assert not (tmp_path / "o.parquet").exists()


def test_the_clips_truth_agrees_with_itself():
    rows = rows_from_table(pq.read_table(CLIP / "talking.parquet"))
    assert [row["frame"] for row in rows] == list(range(125))
    for row in rows[::10]:
        np.testing.assert_allclose(pitch_yaw(row["chest_rotation"]), row["camera_pitch_yaw"], atol=1e-5)
        joints = rotations_from_joints_zyx(row["joints_zyx"].astype(np.float64))
        head = row["chest_rotation"] @ joints[0] @ joints[3]
        assert Rotation.from_matrix(head.T @ row["head_rotation"]).magnitude() < np.radians(2.5)  # two points of view
        assert ((row["landmarks68_px"] > 0) & (row["landmarks68_px"] < 512)).all()


def test_truth_compared_with_itself_has_no_error():
    truth = pq.read_table(CLIP / "talking.parquet")
    twice = truth
    for name in ("joints_zyx", "camera_pitch_yaw", "bfm_exp", "head_from_3dmm"):
        twice = twice.append_column(truth.schema.field(name).with_name(f"{name}_raw"), truth[name])
    errors = compare_tracks(twice, truth)
    for kind in ("raw", "smoothed"):
        assert errors[kind]["head_shown"]["median_deg"] < 1e-3
        assert errors[kind]["head_3dmm"]["jitter_of_truth"] == pytest.approx(1)
        assert errors[kind]["expression"]["pearson"] == pytest.approx(1)


@pytest.mark.slow
def test_the_sample_clip_within_the_promised_errors(capsys):
    numbers = clip_accuracy(CLIP)
    smoothed = numbers["smoothed"]
    assert numbers["frames"] == numbers["of"] == 125
    assert smoothed["head_3dmm"]["median_deg"] < 4
    for head in ("head_3dmm", "head_shown"):
        assert smoothed[head]["jitter_of_truth"] < 1.5 < numbers["raw"][head]["jitter_of_truth"]
    assert smoothed["expression"]["pearson_strongest10"] > 0.6
    assert smoothed["expression"]["pearson_over_time"] > 0.5
    assert numbers["speed"]["processor_ms"] < 2 * 1000 / 6  # two cores, six frames a second
    assert "head, face model, smoothed" in capsys.readouterr().out
