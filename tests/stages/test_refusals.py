"""Photographs that nobody would take are refused for the reason anybody would give, through the whole pipeline."""

import json
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from dataprep.pictures.codecs import decode_mask, decode_rgb, encode_png
from pipelines.main import main
from tests.fits.test_occlusion import covered

SAMPLES = Path(__file__).parents[2] / "samples"
NAME = "photos/p024.jpg"
REASONS = {
    "whole.png": None,
    "top.png": "cut_top",
    "left.png": "cut_sides",
    "right.png": "cut_sides",
    "bottom.png": "cut_bottom",
    "framed_bottom.png": "cut_bottom",
    "below_the_portrait.png": None,
    "cup.png": "mouth",
    "small.png": "crop_too_small",
    "lying.png": "not_upright",
    "upside_down.png": "not_upright",
}


def pictures():
    photo = decode_rgb((SAMPLES / "people" / NAME).read_bytes())
    truth = json.loads((SAMPLES / f"truth/{NAME}.json").read_text())
    alpha = decode_mask((SAMPLES / f"truth/{NAME}.alpha.png").read_bytes())
    marks, (neck_x, neck_y), px_per_m = (
        np.array(truth["landmarks68_px"]),
        truth["joints_px"][12],
        truth["crop"]["px_per_m"],
    )
    top = int((np.flatnonzero(alpha.max(axis=1) > 127)[0] + marks[17:27, 1].min()) / 2)  # between crown and brows
    aside, below = int(0.13 * px_per_m), int(neck_y + 0.05 * px_per_m)
    return {
        "whole.png": photo,
        "top.png": photo[top:],
        "left.png": photo[:, int(neck_x) - aside :],
        "right.png": photo[:, : int(neck_x) + aside],
        "bottom.png": photo[:below],
        "framed_bottom.png": cv2.copyMakeBorder(photo[:below], 30, 90, 30, 30, cv2.BORDER_CONSTANT, value=(0, 0, 0)),
        "below_the_portrait.png": photo[: int(neck_y + 0.2 * px_per_m)],
        "cup.png": covered(photo, marks, (170, 50, 40)),
        "small.png": cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        "lying.png": np.rot90(photo),
        "upside_down.png": np.rot90(photo, 2),
    }


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refusals")
    (folder / "in").mkdir()
    for name, picture in pictures().items():
        (folder / "in" / name).write_bytes(encode_png(np.ascontiguousarray(picture)))
    fast = ["--cluster", "serial", "--set", "superres.model=span", "--set", "body.method=map"]
    assert main(["run", str(folder / "in"), "--out", str(folder / "out"), *fast]) == 0
    return {row["source_path"]: row for row in pq.read_table(folder / "out/manifest.parquet").to_pylist()}


def test_each_is_refused_for_what_is_wrong_with_it(rows):
    assert {name: row["reason"] for name, row in rows.items()} == REASONS


def test_the_whole_photograph_is_far_from_every_limit(rows):
    whole = rows["whole.png"]
    assert min(whole[f"q_{name}"] for name in ("cut_top", "cut_sides", "cut_bottom", "mouth", "uncovered")) > 0.9
    assert whole["q_frontal"] > 0.8
    assert whole["q_landmarks"] > 0.8
