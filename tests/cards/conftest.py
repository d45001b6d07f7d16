"""A data set that was built here, and what its manifest says of its samples."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dataprep.tables.columns import rows_from_table
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import twins
from tests.fake_dataset import End, make_dataset, make_photos


@pytest.fixture(scope="module")
def out(tmp_path_factory, monkeypatch_module):
    """Twenty photographs, one of them lost."""
    folder = tmp_path_factory.mktemp("cards")
    make_photos(folder / "photos", 20)
    make_dataset(folder / "photos", folder / "out", {"photo0001.jpg": End("detect", reason="no_face")}, small=True)
    return folder / "out"


@pytest.fixture(scope="module", autouse=True)
def monkeypatch_module(tmp_path_factory):
    """No network, and caches of the clients in a folder of this module: Croissant finds unpacked tars by name alone."""
    with pytest.MonkeyPatch.context() as patch:
        caches = tmp_path_factory.mktemp("caches")
        for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"):
            patch.setenv(name, "1")
        patch.setenv("HF_HOME", str(caches / "hf"))
        patch.setenv("CROISSANT_CACHE", str(caches / "croissant"))
        patch.setenv("HOME", str(caches))
        yield patch


def manifest_rows(out: Path) -> dict[str, dict]:
    """Rows of the manifest by sample, arrays in their shape."""
    return {row["sample_id"]: row for row in rows_from_table(read_table(out / "manifest.parquet")) if row["selected"]}


def pictures(out: Path) -> dict[tuple[str, str], np.ndarray]:
    """Every picture of the shards, read by the places that the twins say: by sample and by name."""
    found = {}
    for twin in twins(out / "shards"):
        data = twin.with_suffix(".tar").read_bytes()
        for row in read_table(twin).to_pylist():
            for name in ("portrait", "face", "alpha"):
                start = row[f"{name}_offset"]
                png = data[start : start + row[f"{name}_size"]]
                found[row["sample_id"], name] = np.asarray(Image.open(io.BytesIO(png)))
    return found


def require_labels(said: dict, row: dict) -> int:
    """Compare what a sample's JSON said with the manifest's row, number by number; returns how many columns."""
    for name, value in said.items():
        true = row[name]
        if isinstance(true, np.ndarray):
            np.testing.assert_array_equal(np.asarray(value, true.dtype), true, err_msg=name)
        elif isinstance(true, float):
            assert np.float32(value) == np.float32(true), name
        else:
            assert value == true, name
    return len(said)
