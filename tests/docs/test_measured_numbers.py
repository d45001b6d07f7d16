"""Measured numbers of the README stand there as commands wrote them."""

import json

import pytest

from tools.docs import measured_numbers as numbers


def test_the_readme_has_the_numbers_of_the_files():
    text = (numbers.ROOT / "README.md").read_text(encoding="utf-8")
    assert "<!-- numbers: accuracy -->" in text
    assert numbers.written(text) == text, "run make docs"


def test_another_measurement_changes_the_page(tmp_path):
    measured = json.loads((numbers.FOLDER / "accuracy.json").read_text())
    measured["head_3dmm_deg"]["median"] = 7.77
    (tmp_path / "new.json").write_text(json.dumps(measured))
    numbers.keep("accuracy", tmp_path / "new.json", tmp_path)
    page = numbers.written("a\n<!-- numbers: accuracy -->\nold\n<!-- end -->\nb\n", tmp_path)
    assert "| head rotation, 3DMM | 7.8° |" in page
    assert "old" not in page
    assert page.endswith("<!-- end -->\nb\n")


def test_a_measurement_without_a_number_is_not_kept(tmp_path):
    (tmp_path / "new.json").write_text("{}")
    with pytest.raises(KeyError):
        numbers.keep("accuracy", tmp_path / "new.json", tmp_path)
    assert not (tmp_path / "accuracy.json").exists()


def test_the_readme_is_short():
    assert len((numbers.ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150
