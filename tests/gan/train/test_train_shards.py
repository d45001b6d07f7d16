"""The shard reader: right bytes, right labels, and words for every kind of damage."""

import io
import json
import pickle
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataprep.errors import ConfigError, ShardCorrupt, ShardsMissing
from gan.data.errors import MixedBases
from gan.data.shards import ShardDataset
from tests.gan.train.shard_tools import set_column

TRAIN = "train-00000"


def test_images_and_labels_are_those_any_tar_reader_finds(built: Path) -> None:
    dataset = ShardDataset([built], portrait_px=128, face_px=64, verify=True)
    with tarfile.open(built / "shards" / f"{TRAIN}.tar") as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    assert len(dataset) == len(members) // 4 > 5
    for i, name in enumerate(dataset.sample_ids):
        assert dataset.read(i, "face") == members[f"{name}.face.png"]
        told = json.loads(members[f"{name}.json"])
        np.testing.assert_allclose(dataset.labels.joints_zyx[i], told["joints_zyx"], atol=1e-6)
        np.testing.assert_allclose(dataset.labels.bfm_id[i], told["bfm_id"], atol=1e-6)
    sample = dataset[2]
    full = np.asarray(Image.open(io.BytesIO(members[f"{dataset.sample_ids[2]}.portrait.png"])))
    assert (sample.row, sample.portrait.shape, sample.face.shape) == (2, (128, 128, 3), (64, 64, 3))
    averaged = full.reshape(128, 4, 128, 4, 3).mean((1, 3))
    assert np.abs(sample.portrait - averaged).max() <= 0.5  # rounding only: no aliasing, no shift
    assert dataset.image(2, "alpha").shape == (512, 512)


def test_splits_and_folders_concatenate(built: Path, copy: Path) -> None:
    train, val = ShardDataset([built]), ShardDataset([built], split="val")
    assert not set(train.sample_ids) & set(val.sample_ids)
    assert ShardDataset([built, copy / "shards"]).sample_ids == train.sample_ids  # each photograph once
    others = [name[::-1] for name in train.sample_ids]
    set_column(copy / "shards", TRAIN, "sample_id", others)
    both = ShardDataset([built, copy / "shards"])
    assert both.sample_ids == train.sample_ids + others
    assert both.read(len(train), "face") == train.read(0, "face")
    assert len(both.labels) == len(both)
    with pytest.raises(IndexError):
        both.read(len(both), "face")


def test_enlarging_is_refused(built: Path) -> None:
    with pytest.raises(ConfigError, match="256 x 256 pixels, 512 were asked for"):
        ShardDataset([built]).image(0, "face", 512)


def test_a_pickled_reader_opens_its_own_files(built: Path) -> None:
    dataset = ShardDataset([built])
    content = dataset.read(1, "portrait")
    twin = pickle.loads(pickle.dumps(dataset))
    assert twin._descriptors == {}
    dataset.close()
    assert twin.read(1, "portrait") == content == dataset.read(1, "portrait")


def test_mixed_bases_name_both(built: Path, copy: Path) -> None:
    set_column(copy / "shards", TRAIN, "face_model", "face_y")
    ShardDataset([copy])
    with pytest.raises(MixedBases, match=r"face_x.*but.*face_y"):
        ShardDataset([built, copy])


def test_mixed_bases_inside_one_shard(copy: Path) -> None:
    rows = len(ShardDataset([copy]))
    set_column(copy / "shards", TRAIN, "body_model", ["body_x"] * (rows - 1) + ["body_y"])
    with pytest.raises(MixedBases, match=r"body_x.*body_y"):
        ShardDataset([copy])


def test_missing_files_are_named(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ShardsMissing, match=r"index\.json.*shhq-hs run"):
        ShardDataset([tmp_path])
    (copy / "shards" / f"{TRAIN}.tar").unlink()
    with pytest.raises(ShardsMissing, match=rf"{TRAIN}\.tar"):
        ShardDataset([copy])
    ShardDataset([copy], split="val")


def test_truncated_tar_is_refused_at_once(copy: Path) -> None:
    tar = copy / "shards" / f"{TRAIN}.tar"
    with tar.open("r+b") as file:
        file.truncate(tar.stat().st_size - 1024)
    with pytest.raises(ShardCorrupt, match=r"bytes, index\.json says"):
        ShardDataset([copy])


def test_a_flipped_bit_in_an_image_is_found(copy: Path) -> None:
    dataset = ShardDataset([copy], verify=True)
    offset = int(dataset._shards[0].offset_N3[3, 0]) + 5000
    with (copy / "shards" / f"{TRAIN}.tar").open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 1]))
    dataset.read(2, "portrait")
    with pytest.raises(ShardCorrupt, match=dataset.sample_ids[3]):
        dataset.read(3, "portrait")


def test_labels_without_values_are_refused(copy: Path) -> None:
    rows = len(ShardDataset([copy]))
    set_column(copy / "shards", TRAIN, "bfm_exp", [[0.0] * 64] * (rows - 1) + [None])
    with pytest.raises(ShardCorrupt, match="bfm_exp has a row without 64 values"):
        ShardDataset([copy])
    set_column(copy / "shards", TRAIN, "bfm_exp", [[0.0] * 64] * (rows - 1) + [[float("nan")] * 64])
    with pytest.raises(ShardCorrupt, match="not finite"):
        ShardDataset([copy])


def test_twins_of_earlier_versions_are_read_alike(built: Path, copy: Path) -> None:
    before = ShardDataset([built])
    for name in ("bfm_exp", "joints_zyx"):
        values = getattr(before.labels, name).reshape(len(before), -1)
        set_column(copy / "shards", TRAIN, name, values.tolist())
    after = ShardDataset([copy])
    for name in ("bfm_exp", "joints_zyx"):
        np.testing.assert_array_equal(getattr(after.labels, name), getattr(before.labels, name))


def test_a_damaged_index_is_told(copy: Path) -> None:
    (copy / "shards" / "index.json").write_text("{")
    with pytest.raises(ShardCorrupt, match=r"index\.json cannot be read"):
        ShardDataset([copy])


def test_reading_keeps_up_with_5000_samples_a_second(built: Path) -> None:
    dataset = ShardDataset([built])
    order = np.random.default_rng(0).integers(0, len(dataset), 500)
    rates = []
    for _ in range(5):  # the best of five: other processes share the machine
        begin = time.process_time()
        for i in order:
            dataset.read(int(i), "portrait")
            dataset.read(int(i), "face")
        rates.append(len(order) / (time.process_time() - begin))
    assert max(rates) > 5000
