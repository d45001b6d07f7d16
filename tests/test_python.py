"""The names for people: `import dataprep, gan, pipelines` is fast, and they say what the files say."""

import json
import pickle
import shutil
import subprocess
import sys
from importlib import import_module

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

import dataprep
import gan
import pipelines
from dataprep.errors import ConfigError, ShardCorrupt, ShardsMissing
from dataprep.tables.labels import LABELS
from dataprep.tables.review import Mark, append_marks
from gan.data.shards import ShardDataset
from pipelines import main
from tests.fake_dataset import End, make_dataset, make_photos

_LOADED = """
import json, sys, time
started = time.perf_counter()
import dataprep, gan, pipelines
seconds = time.perf_counter() - started
before = sorted(sys.modules)
print(json.dumps([seconds, before, sorted(set(dir(dataprep)) & set(dataprep.__all__))]))
"""


def test_importing_is_fast_and_loads_nothing():
    done = subprocess.run([sys.executable, "-c", _LOADED], capture_output=True, text=True, check=True)
    seconds, loaded, names = json.loads(done.stdout)
    assert not {"numpy", "torch", "pyarrow", "cv2", "argparse", "typing"} & set(loaded)
    assert seconds < 0.5  # 0.006 s were measured
    assert names == sorted(dataprep.__all__)


@pytest.mark.parametrize("package", [dataprep, gan, pipelines], ids=lambda package: package.__name__)
def test_every_name_is_there_documented_and_typed(package):
    for name in package.__all__:
        value = getattr(package, name)
        assert name.startswith("__") or value.__doc__, name
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        package.nothing_of_this_name  # noqa: B018
    assert (import_module(package.__name__).__spec__.submodule_search_locations[0]) is not None


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python")
    make_photos(folder / "photos", 8)
    ends = {"photo0001.jpg": End("detect", reason="no_face", message="no face was found")}
    make_dataset(folder / "photos", folder / "out", ends)
    built = pipelines.run(folder / "photos", folder / "out", cluster="serial", until="shards")
    assert built.counts == {"accepted": 7, "rejected": 1}
    assert len(built.open()) == 7
    return folder / "out"


def test_samples_say_what_the_manifest_says(out):
    data = dataprep.open_dataset(out)
    rows = {row["sample_id"]: row for row in pq.read_table(out / "manifest.parquet").to_pylist()}
    assert set(data.sample_ids) == {name for name, row in rows.items() if row["status"] == "ok"}
    for sample in data:
        row = rows[sample.sample_id]
        assert sample.row["split"] == row["split"]
        for label in LABELS:
            given = np.array(row[label.name], np.float32).reshape(label.shape)
            np.testing.assert_array_equal(sample.labels[label.name], given)
            np.testing.assert_array_equal(data.labels(label.name)[label.name][sample.index], given)
    assert dataprep.describe("joints_zyx").shape == (6, 3)


def test_pictures_and_labels_are_those_that_training_reads(out):
    data, training = dataprep.open_dataset(out, split="train"), ShardDataset([out])
    assert data.sample_ids == training.sample_ids
    for i, sample in enumerate(data):
        np.testing.assert_array_equal(sample.portrait, training[i].portrait)
        np.testing.assert_array_equal(sample.face, training[i].face)
        np.testing.assert_array_equal(sample.labels["bfm_exp"], training.labels.bfm_exp[i])
    assert sample.alpha.shape == sample.portrait.shape[:2]


def test_what_reviewers_rejected_is_left_out_before_the_next_run(out, tmp_path):
    copy = tmp_path / "out"
    shutil.copytree(out, copy)
    every = dataprep.open_dataset(copy)
    bad, doubted, train = every.sample_ids[1], every.sample_ids[2], dataprep.open_dataset(copy, split="train")
    append_marks(copy, [Mark(bad, "reject", "crop_shifted"), Mark(doubted, "doubt")])
    for opened in (
        dataprep.open_dataset(copy),
        dataprep.open_dataset(copy / "shards"),
        pipelines.Built(copy, {}, 0.0).open(),
    ):
        assert opened.sample_ids == [name for name in every.sample_ids if name != bad]
        assert opened.left_out == (bad,)
        assert bad not in opened.table["sample_id"].to_pylist()
        for sample in opened:  # positions have moved up: pictures and labels with them
            same = every[sample.sample_id]
            np.testing.assert_array_equal(sample.portrait, same.portrait)
            np.testing.assert_array_equal(sample.labels["joints_zyx"], same.labels["joints_zyx"])
    chosen = dataprep.TorchDataset(dataprep.open_dataset(copy), ("portrait",), ("joints_zyx",))
    assert [entries["sample_id"] for entries in chosen] == [name for name in every.sample_ids if name != bad]
    assert dataprep.open_dataset(copy, split="train").sample_ids == ShardDataset([copy], left_out=[bad]).sample_ids
    assert dataprep.open_dataset(copy, include_rejected=True).sample_ids == every.sample_ids
    append_marks(copy, [Mark(bad, "none")])  # it was a mistake
    assert dataprep.open_dataset(copy).sample_ids == every.sample_ids
    append_marks(copy, [Mark(name, "reject") for name in train.sample_ids])
    with pytest.raises(ShardsMissing, match="rejected all"):
        dataprep.open_dataset(copy, split="train")


def test_a_sample_of_two_data_sets_is_there_once(out, tmp_path):
    shutil.copytree(out, tmp_path / "other")
    assert dataprep.open_dataset(out, tmp_path / "other").sample_ids == dataprep.open_dataset(out).sample_ids


def test_samples_are_found_as_in_a_list(out):
    data = dataprep.open_dataset(str(out))
    last = data[-1]
    assert data[last.sample_id].index == data.index(last) == len(data) - 1
    assert [sample.index for sample in data[2:4]] == [2, 3]
    assert pickle.loads(pickle.dumps(data))[0].portrait.shape == data[0].portrait.shape
    with pytest.raises(IndexError):
        data[len(data)]
    with pytest.raises(KeyError, match="nobody"):
        data["nobody"]


def test_batches_are_named_tensors(out):
    data = dataprep.open_dataset(out)
    chosen = dataprep.TorchDataset(
        data, ("portrait", "alpha"), ("joints_zyx",), {"portrait": lambda picture: picture.float() / 255}, 64
    )
    batch = next(iter(DataLoader(chosen, batch_size=len(data), num_workers=0)))
    assert set(batch) == {"portrait", "alpha", "joints_zyx", "sample_id"}
    assert batch["portrait"].shape == (len(data), 3, 64, 64)
    assert batch["portrait"].dtype == torch.float32
    assert float(batch["portrait"].max()) <= 1
    assert batch["alpha"].shape == (len(data), 1, 64, 64)
    np.testing.assert_array_equal(batch["joints_zyx"], data.labels("joints_zyx")["joints_zyx"])
    assert batch["sample_id"] == data.sample_ids
    every = dataprep.TorchDataset(data, (), transform=lambda entries: len(entries))
    assert every[0] == len(data.label_names) + 1
    assert set(dataprep.TorchDataset(data, labels=())[0]) == {"portrait", "sample_id"}


def test_wrong_names_are_answered_with_the_nearest(out):
    data = dataprep.open_dataset(out)
    for use, words in (
        (lambda: data.labels("joints_xyz"), "joints_zyx"),
        (lambda: dataprep.describe("bfm_ex"), "bfm_exp"),
        (lambda: dataprep.TorchDataset(data, ("portrat",)), "portrait"),
        (lambda: dataprep.TorchDataset(data, labels=("bfm_ids",)), "bfm_id"),
        (lambda: dataprep.TorchDataset(data, transform={"fase": abs}), "transform"),
        (lambda: dataprep.open_dataset(out, split="test"), "train or val"),
        (dataprep.open_dataset, "open_dataset"),
        (lambda: pipelines.run(out / "photos", out, {"superres.modell": "span"}), "superres.model"),
    ):
        with pytest.raises(ConfigError, match=words):
            use()
    with pytest.raises(ShardsMissing, match="shhq-hs run"):
        dataprep.open_dataset(out / "report")


def test_damaged_bytes_are_no_picture(out, tmp_path):
    shutil.copytree(out / "shards", tmp_path / "shards")
    data = dataprep.open_dataset(tmp_path / "shards")
    tar = next((tmp_path / "shards").glob("*.tar"))
    content = bytearray(tar.read_bytes())
    content[data.table["portrait_offset"][0].as_py() + 200] ^= 1
    tar.write_bytes(content)
    with pytest.raises(ShardCorrupt):
        data[0].portrait  # noqa: B018


def test_a_rendered_person_is_the_one_that_animate_shows(tmp_path):
    options = ("--seeds", "5", "--frames", "1", "--kinds", "png", "--views", "portrait", "--threads", "1", "--preview")
    assert main.main(["animate", "--out", str(tmp_path), *options]) == 0
    shown = np.asarray(Image.open(tmp_path / "portrait.png"))
    people = gan.load_generator()
    person = people.person(5)
    mine = gan.render(person, person.motion(1), preview=True)[0]
    np.testing.assert_array_equal(shown, mine)
    assert np.abs(gan.render(person, gan.neutral(yaw_rad=0.4), preview=True)[0].astype(int) - mine).mean() > 1


def test_a_person_out_of_range_is_refused():
    person = gan.load_generator().person
    for use in (
        lambda: person(-1),
        lambda: person(0, psi=2.0),
        lambda: person(0, precision="half"),
    ):
        with pytest.raises(ConfigError, match="expected"):
            use()
