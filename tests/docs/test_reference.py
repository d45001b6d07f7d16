"""docs/reference is what the code says."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.fake_dataset import make_dataset, make_photos
from tools.docs import reference

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


@pytest.mark.parametrize("name", ["columns.md", "commands.md", "settings.md"])
def test_the_checked_in_page_is_fresh(name):
    assert (FOLDER / name).read_text(encoding="utf-8") == reference.pages()[name], "stale: run `make docs`"


def test_there_are_no_other_pages():
    assert {path.name for path in FOLDER.iterdir()} == set(reference.pages())


def test_every_column_of_a_built_manifest_is_described(tmp_path):
    columns = reference.columns_page()
    make_photos(tmp_path / "photos", 2)
    make_dataset(tmp_path / "photos", tmp_path / "out", {})
    names = pq.read_schema(tmp_path / "out" / "manifest.parquet").names
    assert len(names) > 100
    assert [name for name in names if f"| `{name}` |" not in columns] == []


def test_a_help_text_does_not_depend_on_the_terminal(monkeypatch):
    wide = reference.commands_page()
    monkeypatch.setenv("COLUMNS", "40")
    assert reference.commands_page() == wide


def test_writing_says_what_changed(tmp_path):
    assert {path.name for path in reference.write(tmp_path)} == set(reference.pages())
    (tmp_path / "columns.md").write_text("old")
    assert reference.write(tmp_path) == [tmp_path / "columns.md"]
