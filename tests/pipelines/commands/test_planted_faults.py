"""Faults planted in a data set are found by what it offers and rejected by marks; the next shards lack exactly them."""

import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.frames import geometry
from gan.data.shards import ShardDataset
from pipelines import paper_stages
from pipelines.engine.last_run import remember
from pipelines.main import main
from tests.browser import NAMES, Browser, chromium
from tests.fake_dataset import SQUARE, make_dataset, make_photos
from tests.pipelines.viewer.viewer_process import ViewerProcess

ROWS, SHIFT_PX = 100, 24.0
SHIFTED, FLIPPED = ROWS * 3 // 100, ROWS // 100
NOT_BY_PERSON = ("manifest.split_by_person=false", "manifest.val_fraction=0.3")

FOUND_BY = (  # expression, reason
    ("check_crop_follows_neck > 2", "crop_shifted"),
    ("check_side_of_face > 20 or check_angles_follow_face > 0.5", "yaw_flipped"),
    ("person_splits > 1 and split == 'val'", "person_twice"),
)
MOST_S = 120  # with the viewer's own means
CTRL = 2


def shift_crop(columns):
    """Cut the portrait too far to the left: the square, its matrix and the landmarks agree, the body does not."""
    if "crop_centre_px" in columns:
        matrix = geometry.square_from_source(SQUARE.centre_px, SQUARE.side_px, SQUARE.roll_rad, 512)
        columns["crop_centre_px"] = columns["crop_centre_px"] + np.linalg.solve(matrix[:, :2], [-SHIFT_PX, 0])
    if "crop_from_source" in columns:
        columns["crop_from_source"] = columns["crop_from_source"] + np.array([[0, 0, SHIFT_PX], [0, 0, 0]])
    if "landmarks68" in columns:
        columns["landmarks68"] = columns["landmarks68"] + [SHIFT_PX, 0]


def flip_yaw(columns):
    if "yaw" in columns:
        columns["yaw"] = -columns["yaw"]


def run(folder):
    settings = [word for one in NOT_BY_PERSON for word in ("--set", one)]
    command = ["run", folder / "photos", "--out", folder / "out", "--until", "shards", "--cluster", "serial", *settings]
    assert main([*map(str, command)]) == 0


def shards_of(folder):
    return {split: set(ShardDataset([folder / "out"], split).sample_ids) for split in ("train", "val")}


def reject_by_commands(out):
    for where, reason in FOUND_BY:
        assert main(["review", "mark", str(out), "--where", where, "--verdict", "reject", "--reason", reason]) == 0


def reject_in_the_viewer(out):
    """Type the expression, choose all that match, reject them for a reason: keys alone."""
    with ViewerProcess(out) as viewer, Browser() as browser:
        browser.open(viewer.address)
        browser.wait("document.querySelectorAll('.cell').length > 5")
        started = time.monotonic()
        for where, reason in FOUND_BY:
            browser.run("delete document.documentElement.dataset.foundMs")
            browser.run(f"location.hash = '#grid?expr=' + encodeURIComponent({where!r})")
            browser.wait("document.documentElement.dataset.foundMs")
            browser.press("a", modifiers=CTRL)
            browser.press("r")
            browser.wait("document.querySelector('dialog.ask')?.open")
            browser.run(f"document.getElementById('reason').value = {reason!r}")
            browser.run("document.querySelector('dialog.ask form').requestSubmit()")
            browser.wait("!document.querySelector('dialog.ask')")
            browser.wait("document.getElementById('saved').dataset.state === 'saved'")
        taken_s = time.monotonic() - started
        assert taken_s < MOST_S
        assert browser.errors == []


needs_browser = pytest.mark.skipif(chromium() is None, reason=f"no browser: none of {', '.join(NAMES)} is installed")


@pytest.mark.slow
@pytest.mark.parametrize("reject", [reject_by_commands, pytest.param(reject_in_the_viewer, marks=needs_browser)])
def test_planted_faults_are_found_and_leave_the_next_shards(tmp_path, capsys, reject):
    make_photos(tmp_path / "photos", ROWS)
    trial = make_dataset(tmp_path / "photos", tmp_path / "trial", {}, small=True)  # to see who looks aside, and where
    remember(trial.store, paper_stages.build())
    rows = pq.read_table(tmp_path / "trial" / "manifest.parquet", columns=["sample_id", "source_path", "yaw"])
    paths = rows["source_path"].to_pylist()
    ids = dict(zip(paths, rows["sample_id"].to_pylist(), strict=True))
    aside = [p for p, yaw in zip(paths, rows["yaw"].to_pylist(), strict=True) if abs(np.degrees(yaw)) > 20]
    flipped = aside[:FLIPPED]
    others = [path for path in paths if path not in flipped]
    shifted, twice = others[:SHIFTED], others[SHIFTED:]
    assert (len(shifted), len(flipped)) == (3, 1)

    faults = dict.fromkeys(shifted, shift_crop) | dict.fromkeys(flipped, flip_yaw)
    val = _val_ids(tmp_path)
    splits = {path: "val" if ids[path] in val else "train" for path in twice}
    one, other = (next(path for path in twice if splits[path] == split) for split in ("train", "val"))
    people = {one: "the same", other: "the same"}
    view = make_dataset(tmp_path / "photos", tmp_path / "out", {}, small=True, people=people, faults=faults)
    remember(view.store, paper_stages.build())
    run(tmp_path)
    before = shards_of(tmp_path)
    assert ids[one] in before["train"]
    assert ids[other] in before["val"]

    out = str(tmp_path / "out")
    reject(tmp_path / "out")
    run(tmp_path)
    capsys.readouterr()
    planted = {ids[path] for path in (*shifted, *flipped, other)}
    after = shards_of(tmp_path)
    assert {split: before[split] - after[split] for split in before} == {
        split: planted & before[split] for split in before
    }
    assert all(after[split] <= before[split] for split in before), "nothing came in, and nothing moved"
    assert main(["people", out]) == 0
    assert "both splits" not in capsys.readouterr().out


def _val_ids(folder):
    """Ids that stand in the validation split where a split is no matter of people."""
    out = folder / "trial"
    settings = [word for one in NOT_BY_PERSON for word in ("--set", one)]
    command = ["run", folder / "photos", "--out", out, "--until", "shards", "--cluster", "serial", *settings]
    assert main([*map(str, command)]) == 0
    return set(ShardDataset([out], "val").sample_ids)
