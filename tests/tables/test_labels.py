"""One list of labels: nobody else spells one out, and whoever carries labels carries those of the list."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dataprep.exchange.authors_handout import FIELDS, manifest_labels
from dataprep.stages.base import EVERY_STAGE
from dataprep.stages.manifest import Manifest
from dataprep.tables.labels import LABELS, InTrack, Mirrored, PriorGroup, drawn, label, trained
from dataprep.tracking.track_table import COLUMNS as TRACK
from dataprep.tracking.track_table import SMOOTHED
from gan.data.label_rows import LABEL_SHAPES
from gan.data.mirror import CoefficientMirror, Mirror
from pipelines.paper_stages import MAP_STAGES

ROOT = Path(__file__).parents[2]
NAMES = {one.name for one in LABELS}
HOME = ROOT / "dataprep/tables/labels.py"


def spelt_out(source: str) -> list[tuple[int, str]]:
    """Line and text of every string literal that is a label's name; attributes and keyword arguments are none."""
    tree = ast.parse(source)
    literals = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [(node.lineno, node.value) for node in literals if isinstance(node.value, str) and node.value in NAMES]


def test_a_labels_name_is_a_literal_in_the_list_alone() -> None:
    files = [file for package in ("dataprep", "gan", "pipelines") for file in (ROOT / package).rglob("*.py")]
    assert len(files) > 200
    found = {str(file.relative_to(ROOT)): spelt_out(file.read_text()) for file in files if file != HOME}
    assert {file: lines for file, lines in found.items() if lines} == {}
    assert {name for _, name in spelt_out(HOME.read_text())} == NAMES


def test_a_planted_literal_is_found() -> None:
    assert spelt_out('row["joints_zyx"]') == [(1, "joints_zyx")]
    assert spelt_out("f\"{row['bfm_id']}\"") == [(1, "bfm_id")]
    assert spelt_out("labels.joints_zyx") == []


def test_every_label_is_a_column_of_one_stage_and_of_the_manifest() -> None:
    owners = {column.name: stage.name for stage in MAP_STAGES for column in stage.columns if column in LABELS}
    assert set(owners) == NAMES
    assert Manifest.requires == EVERY_STAGE


def test_names_are_unique_and_what_is_drawn_is_read() -> None:
    assert len(NAMES) == len(LABELS)
    assert set(LABEL_SHAPES) == {one.name for one in trained()}
    assert set(drawn()) <= set(trained())
    assert {one for group in PriorGroup for one in drawn(group)} == set(drawn())


def test_the_hand_out_makes_its_labels() -> None:
    made = manifest_labels({field.name: np.full(field.shapes[0], 0.1) for field in FIELDS}, np.eye(3))
    listed = {one.name: one.shape for one in LABELS if one.in_handout}
    assert {name: made[name].shape for name in listed} == listed
    assert set(made) & NAMES == set(listed)


def test_a_track_holds_its_labels() -> None:
    columns = {column.name: column for column in TRACK}
    assert set(columns) & NAMES == {one.name for one in LABELS if one.in_track}
    assert set(SMOOTHED) == {one.name for one in LABELS if one.in_track is InTrack.SMOOTHED}
    for one in (label(name) for name in SMOOTHED):
        for column in (columns[one.name], columns[f"{one.name}_raw"]):
            assert (column.shape, column.unit, column.frame) == (one.shape, one.unit, one.frame)


def test_eg3d_takes_its_25_numbers() -> None:
    assert sum(int(np.prod(one.shape)) for one in LABELS if one.in_eg3d) == 25


@pytest.mark.parametrize("kind", Mirrored)
def test_every_way_to_mirror_undoes_itself(kind: Mirrored) -> None:
    signs = np.diag([1.0, -1.0])
    of_coefficients = CoefficientMirror(signs, np.zeros(2), 0.0)
    rule = Mirror(of_coefficients, of_coefficients, of_coefficients).rule(kind)
    shape = {Mirrored.JOINTS_ZYX: (6, 3), Mirrored.LANDMARKS68: (68, 2)}.get(kind, (2,))
    values = np.random.default_rng(0).uniform(0.1, 1.5, (4, *shape)).astype(np.float32)
    assert rule is not None
    np.testing.assert_allclose(rule(rule(values)), values, atol=1e-4)
    assert np.array_equal(rule(values), values) == (kind is Mirrored.UNCHANGED)


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("added")
    command = [sys.executable, "-m", "tests.tables.added_label", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_a_label_that_is_added_to_the_list_reaches_everybody(added: dict) -> None:
    train = [row for row, split in zip(added["manifest"], added["split"], strict=True) if split == "train"]
    assert np.ptp(train, axis=0).min() > 0.5  # it is measured
    assert added["loader"] == train
    np.testing.assert_allclose(added["shards"], train[0], atol=1e-6)
    np.testing.assert_allclose(added["export"], train, atol=1e-6)
    np.testing.assert_allclose(added["mirror"], np.negative(train))
    everybody = np.array(added["manifest"])
    np.testing.assert_allclose(added["index"]["mean"], everybody.mean(axis=0), atol=1e-5)
    assert {tuple(row) for row in added["prior"]} <= {tuple(row) for row in train}


def test_the_outlier_rule_of_a_label_that_is_added_holds_everywhere(added: dict) -> None:
    """Its cut is low, so that some identities are left out for it, and the manifest says whose."""
    assert added["identities"] == added["animated"] == added["report"]
    assert 0 < added["identities"] < added["split"].count("train")
    assert set(added["left_out"]) == {"corner_tint"}
    train = [flag for flag, split in zip(added["flagged"], added["split"], strict=True) if split == "train"]
    assert train.count(False) == added["identities"]


def test_the_report_checks_the_range_of_a_label_that_is_added(added: dict) -> None:
    assert added["range"]["allowed"] == [-0.5, 0.5]
    assert added["range"]["unit"] == "grey levels / 128"
    assert added["range"]["defects"] == ["outside -0.5 to 0.5"]  # corners have any colour
