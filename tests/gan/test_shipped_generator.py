"""The generator that comes with the package: from its file to pictures, and on from there in training."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dataprep.errors import AssetError
from dataprep.models.body.smpl import load_body
from gan.animation.animate_labels import WITH_WEIGHTS
from gan.checkpoint import read_checkpoint, save_checkpoint
from gan.data.appearance_basis import Basis
from gan.data.company import basis_of, company_of, labels_of
from gan.data.label_rows import LABEL_SHAPES, Labels
from gan.data.stream import real_batches
from gan.generator_files import open_checkpoint, open_generator
from gan.presets import PRESETS
from gan.rendering.body_arrays import body_arrays
from gan.rendering.generator import Generator
from gan.shipped import DEMO_FILE
from gan.training.execution import Execution
from gan.training.setup import Models, open_run
from gan.training.steps import step
from gan.training.warm_start.appearance import CELLS
from pipelines.main import main
from tests.gan.train.conftest import built, data, labels, models  # noqa: F401

MOST_BYTES = 6_000_000


def test_it_is_small_and_says_whose_coefficients_it_speaks() -> None:
    checkpoint = open_checkpoint(None)
    assert checkpoint.path == DEMO_FILE
    assert DEMO_FILE.stat().st_size <= MOST_BYTES
    assert checkpoint.bases is not None
    assert checkpoint.bases.body_name == "body_anny"
    sizes = ("deform_width", "deform_code_width", "manifold_width", "radiance_width", "features", "levels", "sr_width")
    for name in sizes:  # the presets that go on from it
        assert getattr(checkpoint.config, name) == getattr(PRESETS["tiny-demo-stage2"].generator, name), name


def test_animate_needs_no_checkpoint(tmp_path: Path) -> None:
    options = ("--seeds", "0,1", "--frames", "2", "--kinds", "png", "--views", "portrait", "--threads", "1")
    assert main(["animate", "--out", str(tmp_path), *options]) == 0
    picture = cv2.imread(str(tmp_path / "portrait.png"))
    assert picture.shape == (2 * 128, 2 * 128, 3)
    one, other = (picture[:128, :128], picture[128:, :128])
    middle, corner = np.s_[40:110, 40:88], np.s_[:8, :8]
    assert all(person[corner].min() > 240 for person in (one, other)), "white behind people"
    assert all(person[middle].mean() < 220 for person in (one, other))
    assert np.abs(one.astype(int) - other).mean() > 5, "two people"
    assert json.loads((tmp_path / "animate.json").read_text())["labels"] == WITH_WEIGHTS


def test_what_it_brings_along_is_read_as_it_was_written(labels: Labels, tmp_path: Path) -> None:  # noqa: F811
    random = np.random.default_rng(0)
    basis = Basis(random.normal(size=30).astype(np.float32), random.normal(size=(30, 4)).astype(np.float32))
    checkpoint = open_checkpoint(None)
    assert checkpoint.bases is not None
    generator = open_generator(checkpoint, [], None, None)
    save_checkpoint(tmp_path / "file.pt", generator, checkpoint.bases, company_of(labels, basis))
    company = read_checkpoint(tmp_path / "file.pt").company
    read, again = labels_of(company), basis_of(company)
    assert read is not None
    assert again is not None
    for name in LABEL_SHAPES:
        np.testing.assert_array_equal(getattr(read, name), getattr(labels, name))
    np.testing.assert_allclose(again.direction_VC, basis.direction_VC, rtol=1e-3)
    np.testing.assert_allclose(again.mean_V, basis.mean_V, rtol=1e-3)
    assert labels_of({}) is None
    assert basis_of({}) is None
    with pytest.raises(AssetError, match="bfm_exp"):
        labels_of({name: value for name, value in company.items() if name != "label.bfm_exp"})


def test_training_goes_on_from_it(data: Path, models: Models, tmp_path: Path) -> None:  # noqa: F811
    """Weights and the basis of codes are taken over; the first steps change phi and nothing else."""
    given = PRESETS["tiny-demo"]
    nets = replace(given.generator, ray_size=16, image_size=16)
    start = replace(given.paired, rays=20)
    preset = replace(given, portrait_px=16, face_px=16, batch=2, paired=start, generator=nets)
    run = open_run([data], preset, tmp_path, models, 0, DEMO_FILE, Execution(micro=2))
    checkpoint = open_checkpoint(None)
    basis = basis_of(checkpoint.company)
    assert basis is not None
    assert len(basis.mean_V) == CELLS * CELLS * 3
    assert run.sources.paired is not None
    np.testing.assert_array_equal(run.sources.paired.appearance.basis.direction_VC, basis.direction_VC)
    for name, value in run.state.generator.state_dict().items():
        assert torch.equal(value, checkpoint.state[name]), name
    step(run.state, run.sources, real_batches(run.dataset, 0, 0, 2, run.mirror), Execution(micro=2))
    moved = [n for n, v in run.state.generator.state_dict().items() if not torch.equal(v, checkpoint.state[n])]
    assert moved
    assert all(name.startswith("radiance_net.") for name in moved)


def test_a_generator_before_stage_2_shows_what_it_learnt() -> None:
    """U knows nothing then; its noise was shown."""
    generator = open_generator(open_checkpoint(None), [], None, None)
    assert not generator.has_superres
    person = generator.identity(torch.zeros(1, 80), torch.zeros(1, 80), torch.zeros(1, 10))
    assert person.maps.high_L4HW is None
    assert Generator(body_arrays(load_body()), PRESETS["tiny-stage2"].generator).has_superres
