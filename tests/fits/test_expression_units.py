"""Facial units: planted activations come back, nothing negative is found, and no evidence means no expression."""

import numpy as np
import pytest

from dataprep.errors import AssetError
from dataprep.fits.face.expression_solver import CURVATURE, RATE, likeliest
from dataprep.fits.face.expression_units import ExpressionUnits, units_of
from dataprep.models.face.bfm import load_face


@pytest.fixture(scope="module")
def units() -> ExpressionUnits:
    found = units_of(load_face())
    assert found is not None
    return found


def test_strong_evidence_gives_the_planted_expression(units: ExpressionUnits) -> None:
    expression = 0.5 * units.coefficients[:, units.names.index("mouthSmileLeft")]
    information = 1e4 * np.eye(64)
    np.testing.assert_allclose(likeliest(units, information, information @ expression), expression, atol=0.05)


def test_without_evidence_the_face_is_at_rest(units: ExpressionUnits) -> None:
    np.testing.assert_array_equal(likeliest(units, np.zeros((64, 64)), np.zeros(64)), 0)


def test_the_solution_cannot_be_bettered_by_any_unit() -> None:
    """Karush-Kuhn-Tucker: the slope is zero where a unit works and positive where it rests."""
    rng = np.random.default_rng(0)
    units = ExpressionUnits(tuple("abcdefgh"), np.eye(64)[:, :8])
    root = rng.normal(size=(64, 64))
    information, score = root @ root.T, rng.normal(0, 20, 64)
    activations = likeliest(units, information, score)[:8]
    slope = (information @ np.pad(activations, (0, 56)) - score)[:8] + RATE + CURVATURE * activations
    works = activations > 1e-9
    assert works.any()
    assert not works.all()
    np.testing.assert_allclose(slope[works], 0, atol=1e-6)
    assert (activations >= 0).all()
    assert (slope[~works] > 0).all()


def test_units_move_what_their_names_say(units: ExpressionUnits) -> None:
    """An open jaw lowers the chin, a smile raises and widens the corners of the mouth."""
    face = load_face()
    basis = face.exp_base[face.landmarks].astype(np.float64)

    def moved(name: str) -> np.ndarray:
        return basis @ units.coefficients[:, units.names.index(name)]

    assert moved("jawOpen")[8, 1] < -0.05
    assert moved("mouthSmileLeft")[54, 1] > 0.02
    assert abs(moved("mouthSmileLeft")[48, 1]) < 0.3 * moved("mouthSmileLeft")[54, 1]


def test_a_broken_file_says_so(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "units.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(AssetError, match=r"units\.npz: missing or broken"):
        units_of(load_face(), tmp_path / "units.npz")
