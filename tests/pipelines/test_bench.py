"""Stage costs come from the event log and leave out what no stage worked on."""

import pytest

from pipelines.bench import stage_costs
from pipelines.executors import SerialExecutor
from pipelines.run import run
from tests.pipelines.toy import make_photos, toy_dag


def test_costs_cover_every_stage_that_worked_and_add_up(tmp_path):
    make_photos(tmp_path / "photos", 20)
    with SerialExecutor() as executor:
        run(tmp_path / "photos", tmp_path / "out", toy_dag(), executor, max_error_fraction=1.0)
    costs = stage_costs(tmp_path / "out")
    assert set(costs) == {"ingest", "brightness", "inverted"}
    assert sum(cost["share"] for cost in costs.values()) == pytest.approx(1)
    assert costs["ingest"]["images"] == 21 - 4  # the first part also loads models
    assert costs["inverted"]["images"] < costs["ingest"]["images"]
