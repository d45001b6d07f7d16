"""The code of docs/extending.md runs, and does what the page says."""

from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from dataprep.models.body.body_files import open_body
from dataprep.tables.store import Store
from pipelines.engine.dag import assemble
from pipelines.engine.index import read_index
from tests.pipelines.toy import make_photos
from tools.docs.docs_check import blocks

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The namespace after all blocks, and the folder they ran in."""
    folder = tmp_path_factory.mktemp("extending")
    make_photos(folder / "photos", 3)
    namespace = {"__name__": "extending"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks(PAGE.read_text(encoding="utf-8")):
            if block.language == "python":
                exec(compile(block.text, f"{PAGE}:{block.line}", "exec", dont_inherit=True), namespace)
    return namespace, folder


def test_the_stage_has_a_row_for_every_photograph(page):
    namespace, folder = page
    out = folder / "out"
    (ref,) = [path.name for path in (out / "stages").glob("colourfulness-*")]
    dag = assemble((namespace["Ingest"](min_side_px=16), namespace["Colourfulness"](min_spread=2.0)), ())
    assert dag.refs["colourfulness"].fingerprint == ref.partition("-")[2]
    rows = [
        row for part in {s.part for s in read_index(out)} for row in Store(out).rows(dag.refs["colourfulness"], part)
    ]
    assert len(rows) == 4
    assert {row["status"] for row in rows} == {"ok", "upstream"}  # the fourth is broken
    assert all(row["colour_spread"] > 2 for row in rows if row["status"] == "ok")


def test_the_detector_finds_the_same_face_elsewhere_by_less_than_a_pixel_or_two(page):
    namespace, _ = page
    stage = namespace["DetectTwice"]()
    assert (
        assemble((namespace["Ingest"](), stage), ()).refs["detect"]
        != (assemble((namespace["Ingest"](), namespace["Detect"]()), ()).refs["detect"])
    )
    tools = stage.load()
    twice, once = tools.detector(astronaut()), tools.detector._detector(astronaut())
    distance = np.linalg.norm(twice.landmarks68_px - once.landmarks68_px, axis=1)
    assert 0 < distance.max() < 3


def test_the_body_is_larger_and_another_model(page):
    tall, shipped = page[0]["tall"], open_body()
    assert tall.sha256 != shipped.sha256
    heights = [np.ptp(body.v_template[:, 1]) for body in (tall, shipped)]
    assert heights[0] == pytest.approx(1.05 * heights[1], rel=1e-5)
