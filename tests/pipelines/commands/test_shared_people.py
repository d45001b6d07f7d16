"""`people`: who stands in more than one photograph of a data set, and in two data sets."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest

from dataprep.errors import ConfigError
from dataprep.report.census import Census
from pipelines.commands.shared_people import shared_people
from pipelines.main import main
from tests.fake_dataset import make_dataset, make_photos


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Six photographs of A, B and C; eight of B, B, D, E, ... of which no two look alike otherwise."""
    folder = tmp_path_factory.mktemp("shared")
    for name, who in (("mine", "AABBCC"), ("theirs", "BBDEFGHI")):
        make_photos(folder / name, len(who))
        people = {f"photo{number:04d}.jpg": letter for number, letter in enumerate(who)}
        make_dataset(folder / name, folder / f"{name}-out", {}, small=True, people=people)
    return folder / "mine-out", folder / "theirs-out"


def test_people_of_two_data_sets_are_named_on_both_sides(two, capsys, tmp_path):
    assert main(["people", *map(str, two), "--json", str(tmp_path / "shared.json")]) == 0
    assert "1 people stand in both" in capsys.readouterr().out
    (shared,) = json.loads((tmp_path / "shared.json").read_text())
    for out, ids in zip(two, (shared["here"], shared["there"]), strict=True):
        assert set(ids) <= set(Census(out).ids)
        assert len(ids) == 2
    assert main(["people", *map(str, two), "--cosine", "1"]) == 0


def test_the_people_of_one_data_set_are_counted(two, capsys):
    assert main(["people", str(two[0])]) == 0
    said = capsys.readouterr().out
    assert "6 selected photographs show 3 people, 3 of them more than once" in said


def test_data_sets_of_before_say_what_to_do(two, tmp_path, capsys):
    table = pq.read_table(two[0] / "manifest.parquet", partitioning=None)
    older = tmp_path / "manifest.parquet"
    pq.write_table(table.drop_columns(["person", "likeness"]), older)
    assert main(["people", str(older)]) == 2
    assert "run `shhq-hs run" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="no likenesses; run"):
        shared_people(Census(two[1]), Census(older), 0.96)
    models = json.dumps({"likeness": [{"name": "other", "sha256": "0" * 64, "licence": "cc0"}]})
    place = table.schema.get_field_index("models")
    pq.write_table(table.set_column(place, "models", [[models] * len(table)]), older)
    with pytest.raises(ConfigError, match="different networks"):
        shared_people(Census(two[1]), Census(older), 0.96)
