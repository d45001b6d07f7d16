"""The whole pipeline with real models on real pictures: what `make dataset` promises, on a small folder."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from skimage import data

from dataprep.tables.columns import rows_from_table
from pipelines.main import main
from tests.pipelines.test_run import payload

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
FAST = ("--set", "superres.model=span", "--set", "superres.precision=float32")
GOOD = ("no_segment/p001.jpg", "no_segment/p003.jpg", "photos/p020.jpg", "photos/exif_rotated.jpg")


def expected_bad():
    return json.loads((SAMPLES / "truth" / "bad.json").read_text())


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Four good samples, every bad one, and a real photograph."""
    folder = tmp_path_factory.mktemp("dataset") / "photos"
    masks = [name.replace("no_segment", "segments").replace(".jpg", ".png") for name in GOOD if "no_segment" in name]
    for name in (*GOOD, *masks):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / "people" / name, folder / name)
    for name in (*expected_bad(), "photos/p019.jpg"):  # p019: the original of the exact copy
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / "people" / name, folder / name)
    Image.fromarray(data.astronaut()).save(folder / "astronaut.png")
    return folder


def shhq(*arguments, check=True):
    """The command line in its own process, as a user runs it."""
    command = [sys.executable, "-m", "pipelines.main", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=check, capture_output=True, text=True)


@pytest.fixture(scope="module")
def built(photos, tmp_path_factory):
    out = tmp_path_factory.mktemp("built") / "out"
    return out, shhq("run", photos, "--out", out, "--workers", 2, *FAST)


@pytest.fixture(scope="module")
def manifest(built):
    return {row["source_path"]: row for row in rows_from_table(pq.read_table(built[0] / "manifest.parquet"))}


def test_every_input_has_one_row_and_good_ones_are_accepted(photos, manifest):
    inputs = {p.relative_to(photos).as_posix() for p in photos.rglob("*") if p.is_file() and "segments" not in p.parts}
    assert set(manifest) == inputs
    assert {name: manifest[name]["status"] for name in (*GOOD, "astronaut.png")} == dict.fromkeys(
        (*GOOD, "astronaut.png"), "ok"
    )


def test_bad_inputs_are_rejected_where_and_why_a_person_expects(manifest):
    ended = {name: (manifest[name]["stage"], manifest[name]["reason"]) for name in expected_bad()}
    assert ended == {name: (entry["stage"], entry["reason"]) for name, entry in expected_bad().items()}
    assert all(len(manifest[name]["message"]) > 15 for name in expected_bad())


def test_portraits_are_512_on_white_and_upright(built, manifest):
    out, _ = built
    for name in (*GOOD, "astronaut.png"):
        row = manifest[name]
        images = samples_of(out)[row["sample_id"]]
        portrait, alpha, face = (
            np.asarray(Image.open(io.BytesIO(images[f"{kind}.png"]))) for kind in ("portrait", "alpha", "face")
        )
        assert portrait.shape == (512, 512, 3)
        assert alpha.shape == (512, 512)
        assert face.shape == (256, 256, 3)
        assert (portrait[alpha == 0] == 255).all()
        eyes, chin = row["landmarks68"][[36, 45]].mean(axis=0), row["landmarks68"][8]
        assert eyes[1] < chin[1], "the head stands upright"
        assert 100 < np.linalg.norm(row["landmarks68"][16] - row["landmarks68"][0]) + 60 < 300, "one scale"


def samples_of(out):
    """sample_id -> member name -> bytes, read as any tar user would."""
    found = {}
    for path in sorted((out / "shards").glob("*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                sample_id, _, name = member.name.partition(".")
                assert (member.mtime, member.uid, member.gid, member.mode) == (0, 0, 0, 0o644)
                found.setdefault(sample_id, {})[name] = tar.extractfile(member).read()
    return found


def test_shards_pair_images_and_labels_by_id_and_hash(built, manifest):
    out, _ = built
    index = json.loads((out / "shards" / "index.json").read_text())
    samples = samples_of(out)
    twins = [row for p in sorted((out / "shards").glob("*.parquet")) for row in rows_from_table(pq.read_table(p))]
    selected = {row["sample_id"] for row in manifest.values() if row["selected"]}
    assert {row["sample_id"] for row in twins} == set(samples) == selected
    assert index["samples"] == len(selected)
    for row in twins:
        shard = (out / "shards" / f"{row['split']}-{row['shard']:05d}.tar").read_bytes()
        for image in ("portrait", "face", "alpha", "json"):
            content = shard[row[f"{image}_offset"] : row[f"{image}_offset"] + row[f"{image}_size"]]
            member = "json" if image == "json" else f"{image}.png"
            assert content == samples[row["sample_id"]][member]
            assert hashlib.sha256(content).digest() == row[f"{image}_sha256"]
        labels = json.loads(samples[row["sample_id"]]["json"])
        np.testing.assert_allclose(labels["camera_pitch_yaw"], row["camera_pitch_yaw"], atol=1e-6)
        np.testing.assert_allclose(labels["joints_zyx"], row["joints_zyx"], atol=1e-6)


def test_manifest_columns_say_what_they_are_and_which_models_made_them(built, manifest):
    schema = pq.read_schema(built[0] / "manifest.parquet")
    for field in schema:
        assert {b"unit", b"frame", b"shape", b"desc"} <= field.metadata.keys(), field.name
    models = json.loads(next(iter(manifest.values()))["models"])
    for stage in ("detect", "body", "superres", "face"):
        assert all(
            {"name", "sha256", "licence"} == entry.keys() and len(entry["sha256"]) == 64 for entry in models[stage]
        )


def test_a_healthy_data_set_has_no_column_to_worry_about(built):
    columns = json.loads((built[0] / "report/report.json").read_text())["health"]
    assert [column["column"] for column in columns if column["defects"]] == []


def test_a_healthy_run_shows_nothing_of_its_workers(built):
    assert "distributed" not in built[1].stderr


def test_serial_and_dask_give_the_same_bytes(photos, built, tmp_path):
    shhq("run", photos, "--out", tmp_path, "--cluster", "serial", *FAST)
    assert payload(tmp_path) == payload(built[0])


def test_the_summary_counts_and_names_what_was_lost(built, photos):
    text = built[1].stdout
    assert "images accepted" in text
    assert "no_person" in text
    again = shhq("run", photos, "--out", built[0], "--cluster", "serial", *FAST)
    assert "nothing to do" in again.stdout


def test_a_threshold_reruns_quality_and_what_follows_only(photos, built, capsys):
    assert main(["plan", str(photos), "--out", str(built[0]), *FAST, "--set", "quality.min_sharpness=0.11"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    for stage in ("ingest", "detect", "body", "crop", "superres", "matte", "face", "camera"):
        assert "up to date" in lines[stage]
    assert "-> 0.11" in lines["quality"]
    assert "up to date" not in lines["manifest"]


def test_status_reads_the_state_from_disk(built, capsys):
    assert main(["status", str(built[0])]) == 0
    text = capsys.readouterr().out
    assert "camera" in text
    assert "rejected" in text


def test_a_folder_without_a_usable_image_ends_with_a_summary(tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(data.coffee()).save(tmp_path / "photos" / "coffee.png")
    (tmp_path / "photos" / "empty.jpg").write_bytes(b"")
    ended = shhq("run", tmp_path / "photos", "--out", tmp_path / "out", "--cluster", "serial", *FAST, check=False)
    assert ended.returncode == 1
    assert "0 of 2 images accepted" in ended.stdout
    assert "No image was accepted" in ended.stdout
    assert "Traceback" not in ended.stderr + ended.stdout
