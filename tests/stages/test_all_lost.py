"""A data set whose photographs are all lost ends with a report, wherever they were lost."""

import json

import pytest

from dataprep.stages.report import Report
from pipelines import paper_stages
from pipelines.commands.errors import print_errors
from pipelines.commands.summary import status
from pipelines.engine.last_run import remember
from tests.fake_dataset import End, make_dataset, make_photos

NAMES = [stage.name for stage in paper_stages.MAP_STAGES]
QUICK = {("rejected", NAMES[0]), ("rejected", "crop"), ("error", "face"), ("rejected", NAMES[-1])}  # four seconds each


@pytest.mark.parametrize(
    ("how", "stage"),
    [
        pytest.param(how, stage, marks=() if (how, stage) in QUICK else pytest.mark.slow)
        for how in ("rejected", "error")
        for stage in NAMES
    ],
)
def test_a_report_tells_where_everything_was_lost(stage, how, tmp_path, capsys):
    make_photos(tmp_path / "photos", 2)
    ends = {f"photo{i:04d}.jpg": End(stage, how, "the_reason") for i in range(2)}
    view = make_dataset(tmp_path / "photos", tmp_path / "out", ends, small=True)
    remember(view.store, paper_stages.build())
    assert Report().build(view, tmp_path / "out") == {"rows": 2}
    numbers = json.loads((tmp_path / "out" / "report" / "report.json").read_text())
    assert numbers["inputs"] == 2
    assert "the_reason" in (tmp_path / "out" / "report" / "index.html").read_text()
    print_errors(tmp_path / "out", "", "", "", with_tracebacks=False)
    status(tmp_path / "out")
    said = capsys.readouterr().out
    assert f"{stage}: {how}, the_reason: 2 images" in said
    assert said.count("photo0001.jpg") == 2
