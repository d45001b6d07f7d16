"""The stage `likeness` on a rendered photograph: where it reads, and what it leaves unsaid."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dataprep.frames import geometry
from dataprep.models.face.likeness_file import FEATURES
from dataprep.models.face.likeness_network import LikenessReader
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.stages.base import Item, Result
from dataprep.stages.likeness import Likeness
from dataprep.tables.columns import rows_from_table, table_from_rows

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(scope="module")
def reader() -> LikenessReader:
    return Likeness().load()


def read(reader: LikenessReader, name: str, size_px: int) -> Result:
    """The stage's word on a sample whose native crop has `size_px` a side."""
    truth = json.loads((SAMPLES / f"truth/photos/{name}.jpg.json").read_text())
    square = truth["crop"]
    matrix = geometry.square_from_source(np.array(square["centre_px"]), square["side_px"], square["roll_rad"], size_px)
    crop = geometry.resample(decode_rgb((SAMPLES / f"people/photos/{name}.jpg").read_bytes()), matrix, size_px)
    row = {"crop_native_from_source": matrix, "landmarks68_px": np.array(truth["landmarks68_px"])}
    return Likeness().process_item(Item(name, row, SAMPLES, lambda blob: encode_png(crop)), reader)


def test_half_the_pixels_are_the_same_person_and_somebody_else_is_not(reader: LikenessReader) -> None:
    whole, half, other = read(reader, "p022", 220), read(reader, "p022", 110), read(reader, "p031", 220)
    mine = whole.columns["likeness"]
    assert float(mine @ half.columns["likeness"]) > 0.9
    assert float(mine @ other.columns["likeness"]) < 0.8
    assert Likeness.found(whole.columns)[0].startswith("the face and its mirror image agree by 0.9")


def test_a_face_of_few_pixels_has_no_likeness(reader: LikenessReader) -> None:
    assert read(reader, "p022", 60).columns == {}
    assert Likeness.found({"likeness_self": None}) == ["too small a face for a likeness"]


def test_half_precision_comes_back_as_it_was_written(reader: LikenessReader) -> None:
    rows = [dict(read(reader, "p022", 220).columns), {"likeness": None, "likeness_self": None}]
    back, nothing = rows_from_table(table_from_rows(Likeness.columns, rows))
    assert back["likeness"].dtype == np.float16
    assert back["likeness"].shape == (FEATURES,)
    np.testing.assert_allclose(back["likeness"], rows[0]["likeness"], atol=3e-4)
    assert nothing["likeness"] is None
