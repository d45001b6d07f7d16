"""Stage costs: processor time of parts, without the first, which loads models, and without what no stage worked on."""

import pytest

from pipelines.engine.run import run
from tests.pipelines.toy import make_photos, toy_dag
from tools.bench.stage_costs import Cost, MeteredExecutor, fit_numbers, stage_costs, stage_numbers
from tools.bench.stage_ratios import Ratio, ratios


def test_costs_cover_every_stage_that_worked_and_add_up(tmp_path):
    make_photos(tmp_path / "photos", 20)
    with MeteredExecutor() as executor:
        run(tmp_path / "photos", tmp_path / "out", toy_dag(), executor, max_error_fraction=1.0)
    costs = stage_costs(executor.parts)
    assert set(costs) == {"ingest", "brightness", "inverted"}
    assert costs["ingest"].images == 21 - 4  # the first part also loads models
    assert costs["inverted"].images < costs["ingest"].images
    assert all(cost.cpu_seconds > 0 for cost in costs.values())
    assert sum(numbers["share"] for numbers in stage_numbers(costs).values()) == pytest.approx(1)


def test_the_fits_rate_adds_body_face_and_camera():
    stages = {"detect": Cost(10, 5.0), "body": Cost(10, 1.0), "face": Cost(10, 0.6), "camera": Cost(10, 0.4)}
    found = fit_numbers(stages, {"eft": Cost(10, 1.0), "map": Cost(10, 0.1)})
    assert found["eft"]["images_per_second_on_2_cores"] == pytest.approx(2 / 0.2)
    assert found["map"]["cpu_seconds_per_image"] == pytest.approx(0.11)


def test_versions_are_compared_pair_by_pair():
    """A stage that only one of them has counts in `together` alone."""
    runs = [({"detect": 2.0, "face": 1.0}, {"detect": 1.0, "face": 1.0, "people": 1.0}),
            ({"detect": 8.0, "face": 1.0}, {"detect": 2.0, "face": 0.5, "people": 1.0})]  # fmt: skip
    found = ratios(runs)
    assert set(found) == {"detect", "face", "together"}
    assert found["detect"] == Ratio(before_s=5.0, after_s=1.5, ratio=3.0, least=2.0, most=4.0)
    assert found["together"].before_s == pytest.approx((3 + 9) / 2)
    assert found["together"].most == pytest.approx(9 / 3.5)
