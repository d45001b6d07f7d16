"""What an owner does with a data set: choose, pack, export, compare, import."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataprep.exchange.authors_handout import FIELDS
from dataprep.pictures.codecs import decode_rgb
from dataprep.report.census import Census
from dataprep.report.selection import matching
from dataprep.stages.crop import PortraitSquare
from gan.data.shards import ShardDataset
from pipelines import paper_stages
from pipelines.engine.last_run import remember
from pipelines.main import main
from tests.face_labels import generators_face_pitch_yaw
from tests.fake_dataset import End, make_dataset, make_photos
from tests.label_rows import consistent_labels

ENDS = {"photo0001.jpg": End("detect", reason="no_face"), "photo0003.jpg": End("quality", reason="sharpness")}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("owner")
    make_photos(folder / "photos", 24)
    view = make_dataset(folder / "photos", folder / "out", ENDS, small=True)
    remember(view.store, paper_stages.build())
    return folder / "out"


@pytest.fixture(scope="module")
def rows(out):
    return pq.read_table(out / "manifest.parquet").to_pylist()


CASES = {
    "abs(yaw) < 0.2": lambda r: r["yaw"] is not None and abs(r["yaw"]) < 0.2,
    "-0.3 < yaw <= 0.1": lambda r: r["yaw"] is not None and -0.3 < r["yaw"] <= 0.1,
    "degrees(pitch) > 2 or split == 'val'": lambda r: (
        (r["pitch"] is not None and np.degrees(r["pitch"]) > 2) or r["split"] == "val"
    ),
    "not selected": lambda r: not r["selected"],
    "status in ['rejected', 'error'] and reason != 'no_face'": lambda r: (
        r["status"] == "rejected" and r["reason"] != "no_face"
    ),
    "joints_zyx[3] > 0 and selected": lambda r: r["selected"] and r["joints_zyx"][3] > 0,
    "isnull(yaw)": lambda r: r["yaw"] is None,
    "q_sharpness * 2 > 1 + q_exposure": lambda r: (
        r["q_sharpness"] is not None and r["q_sharpness"] * 2 > 1 + r["q_exposure"]
    ),
}


@pytest.mark.parametrize("expression", CASES)
def test_an_expression_chooses_what_python_would(expression, out, rows):
    found = matching(Census(out), expression)
    assert found.tolist() == [bool(CASES[expression](row)) for row in rows]


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("yaww < 1", "near it: yaw"),
        ("q_sharpnes > 1", "near it: q_sharpness"),
        ("landmarks68 > 3", r"68x2 numbers; name one of them, as in landmarks68\[0\]"),
        ("joints_zyx[99] > 3", "holds 18 numbers"),
        ("yaw", "no condition"),
        ("yaw <", "is no expression"),
        ("split > 3", "compares a text"),
        ("split in 'train'", "after `in` comes a list"),
        ("yaw and split", "neither true nor false"),
        ("sqrt(yaw) < 1", "no function 'sqrt'"),
        ("__import__('os').system('id')", "not understood"),
        ("yaw.__class__ == 1", "not understood"),
        ("[x for x in (1,)] == 1", "not understood"),
        ("(lambda: 1)() == 1", "not understood"),
    ],
)
def test_a_wrong_expression_says_what_is_wrong(expression, said, out):
    with pytest.raises(Exception, match=said) as caught:
        matching(Census(out), expression)
    assert type(caught.value).__name__ == "ConfigError"


@given(low=st.floats(-1, 1), high=st.floats(-1, 1))
@settings(max_examples=20, deadline=None)
def test_and_or_not_are_those_of_sets(out, low, high):
    census = Census(out)
    a, b = f"yaw > {low}", f"pitch < {high}"
    left, right = matching(census, a), matching(census, b)
    assert (matching(census, f"{a} and {b}") == (left & right)).all()
    assert (matching(census, f"not ({a} or {b})") == ~(left | right)).all()


def test_shards_of_a_subset_hold_the_same_bytes(out, rows, tmp_path, capsys):
    assert main(["select", str(out), "yaw > 0", "-o", str(tmp_path / "s.parquet")]) == 0
    assert (
        main(["shards", "build", str(out), "--subset", str(tmp_path / "s.parquet"), "--out", str(tmp_path / "d")]) == 0
    )
    wanted = {row["sample_id"] for row in rows if row["selected"] and row["yaw"] > 0 and row["split"] == "train"}
    whole, part = ShardDataset([out]), ShardDataset([tmp_path / "d"], verify=True)
    assert set(part.sample_ids) == wanted
    for i, name in enumerate(part.sample_ids):
        assert part.read(i, "portrait") == whole.read(whole.sample_ids.index(name), "portrait")
    assert "shards build" in capsys.readouterr().out


def test_a_subset_of_another_data_set_is_refused(out, tmp_path, capsys):
    main(["select", str(out), "yaw > 0", "-o", str(tmp_path / "s.parquet")])
    table = pq.read_table(tmp_path / "s.parquet")
    at = table.schema.get_field_index("sample_id")
    pq.write_table(table.set_column(at, "sample_id", pa.array(["0" * 32] * len(table))), tmp_path / "other.parquet")
    build = ["shards", "build", str(out), "--subset", str(tmp_path / "other.parquet"), "--out", str(tmp_path / "d")]
    assert main(build) == 2
    assert "are not of" in capsys.readouterr().err
    assert main([*build[:-1], str(out)]) == 2
    assert not (tmp_path / "d").exists()


def test_no_match_writes_nothing(out, tmp_path, capsys):
    assert main(["select", str(out), "yaw > 9", "-o", str(tmp_path / "s.parquet")]) == 1
    assert not (tmp_path / "s.parquet").exists()


def test_eg3ds_layout(out, tmp_path):
    assert main(["export", str(out), "--out", str(tmp_path / "eg3d"), "--split", "all"]) == 0
    labels = json.loads((tmp_path / "eg3d" / "dataset.json").read_text())["labels"]
    train = ShardDataset([out])
    assert len(labels) == 22
    for name, numbers in labels:
        matrix, k = np.reshape(numbers[:16], (4, 4)), np.reshape(numbers[16:], (3, 3))
        np.testing.assert_allclose(matrix[:3, :3] @ matrix[:3, :3].T, np.eye(3), atol=1e-5)
        assert (matrix[3].tolist(), k[2].tolist()) == ([0, 0, 0, 1], [0, 0, 1])
        assert matrix[:3, 2] @ matrix[:3, 3] < 0, "the camera looks at the origin"
        assert decode_rgb((tmp_path / "eg3d" / name).read_bytes()).shape[2] == 3
    first = (tmp_path / "eg3d" / labels[0][0]).read_bytes()
    assert first == train.read(0, "portrait")


def test_plain_files(out, rows, tmp_path):
    assert main(["export", str(out), "--out", str(tmp_path / "plain"), "--layout", "plain", "--split", "all"]) == 0
    with (tmp_path / "plain" / "labels.csv").open(newline="") as file:
        told = {row["sample_id"]: row for row in csv.DictReader(file)}
    vectors = np.load(tmp_path / "plain" / "vectors.npz")
    selected = {row["sample_id"]: row for row in rows if row["selected"]}
    assert set(told) == set(selected)
    assert len(next(iter(told.values()))) < 200
    for name, row in selected.items():
        assert float(told[name]["yaw"]) == pytest.approx(row["yaw"])
        assert vectors["joints_zyx"][list(told).index(name)].ravel().tolist() == row["joints_zyx"]
        assert all((tmp_path / "plain" / kind / f"{name}.png").exists() for kind in ("portraits", "faces", "alphas"))
    assert main(["export", str(out), "--out", str(tmp_path / "plain")]) == 2  # not empty


def test_compare_tells_what_changed(out, tmp_path, capsys):
    assert main(["compare", str(out), str(out)]) == 0
    assert "every row that both have is the same" in capsys.readouterr().out
    table = pq.read_table(out / "manifest.parquet")
    yaw = [None if value is None else value + 0.1 for value in table["yaw"].to_pylist()]
    reasons = ["no_face" if value == "sharpness" else value for value in table["reason"].to_pylist()]
    later = table.set_column(
        table.schema.get_field_index("yaw"), table.schema.field("yaw"), pa.array(yaw, pa.float32())
    )
    later = later.set_column(later.schema.get_field_index("reason"), "reason", pa.array(reasons))
    pq.write_table(later.slice(1), tmp_path / "later.parquet")
    assert main(["compare", str(out), str(tmp_path / "later.parquet"), "--json", str(tmp_path / "c.json")]) == 0
    found = json.loads((tmp_path / "c.json").read_text())
    assert (found["added"], found["removed"], found["inputs_before"], found["inputs_after"]) == (0, 1, 24, 23)
    assert [(fate["before"], fate["after"]) for fate in found["fates"]] == [("quality: sharpness", "quality: no_face")]
    moved = {shift["column"]: shift for shift in found["shifts"] if shift["changed"]}
    assert set(moved) == {"yaw"}
    assert moved["yaw"]["largest_change"] == pytest.approx(0.1, abs=1e-5)
    assert "quality: sharpness" in capsys.readouterr().out


# --- the authors' hand-out -----------------------------------------------------------------------------------------


@pytest.fixture
def handout(tmp_path):
    folder = tmp_path / "handout"
    for kind in ("portraits", "faces", "labels"):
        (folder / kind).mkdir(parents=True)
    for i in range(6):
        labels = consistent_labels(PortraitSquare(np.zeros(2), 200.0, 0.0), np.zeros(2), np.random.default_rng(i))
        Image.fromarray(np.full((512, 512, 3), 30 * i, np.uint8)).save(folder / "portraits" / f"{i:05d}.png")
        Image.fromarray(np.full((256, 256, 3), 30 * i, np.uint8)).save(folder / "faces" / f"{i:05d}.png")
        np.savez(
            folder / "labels" / f"{i:05d}.npz",
            camera=np.concatenate([labels["cam2world"].ravel(), labels["intrinsics"].ravel()]),
            smpl_pose=np.concatenate([labels["smpl_global_orient_portrait"], labels["smpl_body_pose"].ravel()]),
            smpl_shape=np.full(10, 0.1 * i), id=np.full(80, 0.01 * i), exp=np.full(64, -0.01 * i),
            angle=labels["bfm_angle"],
        )  # fmt: skip
    return folder


def imported(handout, tmp_path, *more):
    models = ["--body", "body_anny", "--face", "face_anny"]
    return main(["import", str(handout), "--out", str(tmp_path / "in"), "--val-fraction", "0", *models, *more])


def test_the_hand_out_becomes_shards_that_training_reads(handout, tmp_path):
    assert imported(handout, tmp_path) == 0
    data = ShardDataset([tmp_path / "in"], portrait_px=64, face_px=64, verify=True)
    assert len(data) == 6
    names = {row["sample_id"]: int(row["source_path"])
             for row in pq.read_table(tmp_path / "in" / "manifest.parquet").to_pylist()}  # fmt: skip
    for i, sample_id in enumerate(data.sample_ids):
        number = names[sample_id]
        labels = consistent_labels(PortraitSquare(np.zeros(2), 200.0, 0.0), np.zeros(2), np.random.default_rng(number))
        np.testing.assert_allclose(data.labels.camera_pitch_yaw[i], labels["camera_pitch_yaw"], atol=1e-5)
        np.testing.assert_allclose(data.labels.face_pitch_yaw[i], labels["face_pitch_yaw"], atol=1e-5)
        np.testing.assert_allclose(data.labels.joints_zyx[i], labels["joints_zyx"], atol=1e-5)
        np.testing.assert_allclose(data.labels.bfm_exp[i], -0.01 * number, atol=1e-6)
        assert (data[i].portrait == 30 * number).all()
        assert (data[i].face == 30 * number).all()


def test_the_face_camera_of_an_angle_is_the_generators_of_the_joints(handout, tmp_path):
    assert imported(handout, tmp_path) == 0
    labels = ShardDataset([tmp_path / "in"], portrait_px=64, face_px=64).labels
    expected = generators_face_pitch_yaw(labels.joints_zyx, labels.camera_pitch_yaw)
    np.testing.assert_allclose(labels.face_pitch_yaw, expected, atol=1e-4)


@pytest.mark.parametrize("field", [field.name for field in FIELDS if field.required])
def test_a_missing_field_is_named(field, handout, tmp_path, capsys):
    path = handout / "labels" / "00003.npz"
    content = dict(np.load(path))
    theirs = content.pop(field)
    np.savez(path, **content, other=theirs)
    assert imported(handout, tmp_path) == 2
    said = capsys.readouterr().err
    assert "00003.npz" in said
    assert f"no field {field!r}" in said
    assert f"--field {field}=THEIRS" in said
    assert not (tmp_path / "in").exists()


def test_a_field_can_have_another_name_and_must_have_its_shape(handout, tmp_path, capsys):
    for path in (handout / "labels").glob("*.npz"):
        content = dict(np.load(path))
        content["beta"] = content.pop("smpl_shape")
        np.savez(path, **content)
    assert imported(handout, tmp_path, "--field", "smpl_shape=id") == 2
    assert "expected (10,)" in capsys.readouterr().err
    assert imported(handout, tmp_path, "--field", "smpl_shape=beta") == 0


def test_a_person_without_labels_or_face_is_named(handout, tmp_path, capsys):
    (handout / "faces" / "00002.png").unlink()
    assert imported(handout, tmp_path) == 2
    assert "00002" in capsys.readouterr().err
    assert main(["import", "--fields"]) == 0
    told = capsys.readouterr().out
    assert all(field.name in told and field.meaning in told for field in FIELDS)
