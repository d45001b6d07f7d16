"""The shards by the packages that others read them with: the pictures and labels are the manifest's."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from dataprep.cards.sample_json import json_fields
from dataprep.tables.sealed import read_table
from dataprep.tables.shard_folders import twins
from pipelines.main import main
from tests.cards.conftest import manifest_rows, pictures, require_labels

NAMES = ("portrait", "face", "alpha")
SPLITS = {"train": "train", "val": "validation"}
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["made-up", pytest.param("samples", marks=pytest.mark.slow)])
def data(request, tmp_path_factory):
    """The quick data set; in the slow half the shipped samples, too, with the quick super-resolution."""
    if request.param == "made-up":
        return request.getfixturevalue("out")
    folder = tmp_path_factory.mktemp("samples") / "out"
    run = ["run", str(ROOT / "samples/people"), "--out", str(folder), "--set", "superres.model=span"]
    assert main(run) == 0
    return folder


@pytest.mark.parametrize("below", ["", "shards"])
@pytest.mark.parametrize("streaming", [False, True])
def test_datasets_gives_pictures_with_labels(data, below, streaming, tmp_path):
    datasets = pytest.importorskip("datasets", reason="pip install 'shhq-hs[dev]'")
    rows, seen = manifest_rows(data), pictures(data)
    loaded = datasets.load_dataset(str(data / below), streaming=streaming, cache_dir=str(tmp_path))
    assert set(loaded) == {SPLITS[row["split"]] for row in rows.values()}
    samples = [(split, sample) for split in loaded for sample in loaded[split]]
    assert {sample["__key__"].rpartition("/")[2] for _, sample in samples} == set(rows)
    for split, sample in samples:
        row = rows[sample["json"]["sample_id"]]
        assert SPLITS[row["split"]] == split
        assert require_labels(sample["json"], row) > 150
        for name in NAMES:
            np.testing.assert_array_equal(np.asarray(sample[f"{name}.png"]), seen[row["sample_id"], name])


def test_the_card_declares_the_types_as_datasets_would_write_them(data):
    datasets = pytest.importorskip("datasets", reason="pip install 'shhq-hs[dev]'")
    head = yaml.safe_load((data / "README.md").read_text().split("---\n")[1])
    declared = head["dataset_info"]["features"]
    assert datasets.Features._from_yaml_list(declared)._to_yaml_list() == declared
    fields = json_fields(read_table(data / "manifest.parquet").schema)
    (said,) = (one["struct"] for one in declared if one["name"] == "json")
    assert [one["name"] for one in said] == [field.name for field in fields]


def test_webdataset_reads_every_sample(data):
    webdataset = pytest.importorskip("webdataset", reason="pip install 'shhq-hs[dev]'")
    rows, seen = manifest_rows(data), pictures(data)
    for split in {row["split"] for row in rows.values()}:
        tars = [str(tar) for tar in sorted((data / "shards").glob(f"{split}-*.tar"))]
        samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
        assert {one["__key__"] for one in samples} == {name for name, row in rows.items() if row["split"] == split}
        for sample in samples:
            require_labels(sample["json"], rows[sample["__key__"]])
            for name in NAMES:
                shown = np.asarray(sample[f"{name}.png"])
                true = seen[sample["__key__"], name]
                np.testing.assert_array_equal(shown if true.ndim == 3 else shown[..., 0], true)


def test_croissant_is_valid_and_reads_labels_and_pictures(data):
    croissant = pytest.importorskip("mlcroissant", reason="pip install 'shhq-hs[dev]'")
    rows, seen = manifest_rows(data), pictures(data)
    dataset = croissant.Dataset(str(data / "shards" / "croissant.json"))
    assert not dataset.metadata.ctx.issues.errors
    found = {one["labels/sample_id"].decode(): one for one in dataset.records("labels")}
    assert set(found) == set(rows)
    for name, record in found.items():
        assert record["labels/person"].decode() == rows[name]["person"]
        for column in ("landmarks68", "camera_pitch_yaw", "joints_zyx"):
            values = np.array([np.stack(np.asarray(record[f"labels/{column}"], object)).astype(float)])
            np.testing.assert_array_equal(values.astype(np.float32)[0], rows[name][column])
    for kind in NAMES:
        shown = {one[f"{kind}s/sample_id"].decode(): one[f"{kind}s/image"] for one in dataset.records(f"{kind}s")}
        assert set(shown) == set(rows)
        for name, picture in shown.items():
            true = seen[name, kind]
            np.testing.assert_array_equal(np.asarray(picture.convert("RGB" if true.ndim == 3 else "L")), true)


def test_croissant_would_see_a_file_that_is_another(data, tmp_path):
    croissant = pytest.importorskip("mlcroissant", reason="pip install 'shhq-hs[dev]'")
    shutil.copytree(data / "shards", tmp_path / "shards")
    (tar,) = (tmp_path / "shards").glob("train-00000.tar")
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")
    with pytest.raises(croissant.GenerationError) as caught:
        list(croissant.Dataset(str(tmp_path / "shards" / "croissant.json")).records("portraits"))
    assert "not identical" in str(caught.value.__cause__)


def test_polars_keeps_the_shapes(data):
    polars = pytest.importorskip("polars", reason="pip install 'shhq-hs[clients]'")
    rows = manifest_rows(data)
    for twin in twins(data / "shards"):
        table = polars.read_parquet(twin)
        for column in ("landmarks68", "joints_zyx", "bfm_id", "cam2world"):
            true = np.stack([rows[name][column] for name in table["sample_id"]])
            np.testing.assert_array_equal(table[column].to_numpy(), true)


def test_duckdb_keeps_the_shapes(data):
    duckdb = pytest.importorskip("duckdb", reason="pip install 'shhq-hs[clients]'")
    rows = manifest_rows(data)
    columns = "sample_id, landmarks68::FLOAT[2][68], camera_pitch_yaw"
    found = duckdb.sql(f"SELECT {columns} FROM '{data}/shards/*.parquet' WHERE q_mouth >= 0").fetchall()
    assert {name for name, *_ in found} == set(rows)
    for name, landmarks, camera in found:
        np.testing.assert_array_equal(np.float32(landmarks), rows[name]["landmarks68"])
        np.testing.assert_array_equal(np.float32(camera), rows[name]["camera_pitch_yaw"])


@pytest.mark.slow
def test_energon_prepares_lints_and_loads(data, tmp_path):
    energon = pytest.importorskip("megatron.energon", reason="pip install 'shhq-hs[clients]'")
    rows, seen = manifest_rows(data), pictures(data)
    folder = tmp_path / "shards"
    shutil.copytree(data / "shards", folder)
    run = [sys.executable, "-m", "megatron.energon.cli.main"]
    (prepare,) = re.findall(r"```sh\nenergon (prepare .*?)```", (folder / "README.md").read_text(), re.DOTALL)
    for command in (
        shlex.split(prepare.replace("FOLDER", str(folder)).replace("\\\n", " ")),
        ["lint", str(folder), "--split-parts", "train,val"],
    ):
        ran = subprocess.run([*run, *command], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    here = energon.WorkerConfig(rank=0, world_size=1, num_workers=0)
    for split in {row["split"] for row in rows.values()}:
        loader = energon.get_loader(
            energon.get_val_dataset(folder, split_part=split, worker_config=here, batch_size=None)
        )
        samples = {one.__key__: one for one in loader}
        assert set(samples) == {name for name, row in rows.items() if row["split"] == split}
        for name, sample in samples.items():
            require_labels(sample.caption, rows[name])
            shown = (sample.image.numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
            np.testing.assert_array_equal(shown, seen[name, "portrait"])


@pytest.mark.parametrize("module", ["datasets", "webdataset", "polars", "duckdb"])
def test_the_cards_own_words_run(data, module):
    """Every python block of the card, in the card's folder, as somebody types it."""
    pytest.importorskip(module, reason=f"{module} is in shhq-hs[dev] or shhq-hs[clients]")
    blocks = re.findall(r"```python\n(.*?)```", (data / "README.md").read_text(), re.DOTALL)
    (block,) = (block for block in blocks if re.match(rf"(from|import) {module}\b", block))
    ran = subprocess.run([sys.executable, "-c", block], cwd=data, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()


def test_the_json_has_no_likeness_and_no_hashes_of_files(out):
    manifest = read_table(out / "manifest.parquet")
    names = {field.name for field in json_fields(manifest.schema)}
    left_out = set(manifest.column_names) - names
    assert {"likeness", "portrait_dhash", "source_sha256"} <= left_out
    kept = {name for name in manifest.column_names if name.startswith(("q_", "flag_")) or "mouth" in name}
    assert {"yaw", "pitch", "roll", "person", "sampling_weight", "skin_ita_deg", *kept} <= names
    assert json.loads(json.dumps(sorted(left_out)))
