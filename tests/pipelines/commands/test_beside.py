"""A run says what became of the supplied masks, and what it did not read."""

import shutil
from pathlib import Path

import pytest

from dataprep.stages.detect import Detect
from dataprep.stages.ingest import Ingest
from pipelines.commands import summary
from pipelines.engine.dag import assemble
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor

PEOPLE = Path(__file__).parents[3] / "samples" / "people"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Of two people one has the other's mask; a third photograph holds nobody, a third mask belongs to none."""
    folder = tmp_path_factory.mktemp("photos")
    images, masks = folder / "Images", folder / "Masks"
    images.mkdir()
    masks.mkdir()
    for name, mask in (("p002", "p002"), ("p003", "p002")):
        shutil.copy(PEOPLE / f"no_segment/{name}.jpg", images)
        shutil.copy(PEOPLE / f"segments/{mask}.png", masks / f"{name}.png")
    shutil.copy(PEOPLE / "bad/no_person.jpg", images)
    shutil.copy(PEOPLE / "segments/p004.png", masks / "no_person.png")
    shutil.copy(PEOPLE / "segments/p005.png", masks)
    (images / "raw.CR2").write_bytes(b"raw")
    return folder


@pytest.mark.parametrize(("misfit", "n_ok"), [("refuse", 1), ("replace", 2)])
def test_a_run_says_what_became_of_the_masks(photos, tmp_path, capsys, misfit, n_ok):
    dag = assemble((Ingest(), Detect(misfit_mask=misfit)), ())
    with SerialExecutor() as executor:
        outcome = run(photos, tmp_path, dag, executor)
    summary.after_run(tmp_path, dag, outcome)
    lines = capsys.readouterr().out.splitlines()
    assert f"{n_ok} ok" in next(line for line in lines if "done up to detect" in line)
    unused = "2 left unused (1 belong to no photograph, 1 of photographs that were lost before)"
    assert f"masks: 4 found, 1 used, 1 refused, {unused}" in lines
    assert "not read, by suffix: 1 .cr2" in lines
    summary.status(tmp_path)
    assert f"masks: 4 found, 1 used, 1 refused, {unused}" in capsys.readouterr().out
