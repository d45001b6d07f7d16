"""What reviewers reject is not trained on, and a run keeps to what it began with."""

import json
import shutil
from pathlib import Path

import pytest

from dataprep.errors import StoreError
from dataprep.tables.review import Mark, append_marks
from gan.data.shards import ShardDataset
from gan.training.execution import Execution
from gan.training.left_out import LEFT_OUT_FILE
from gan.training.loop import train
from gan.training.setup import Models, open_run
from tests.gan.train.runs import ONE, PLAIN
from tests.gan.train.test_training import Killed, Steps, same


def test_a_run_leaves_out_what_was_rejected_when_it_began(data: Path, models: Models, tmp_path: Path) -> None:
    """A mark that is made meanwhile changes nothing: the run ends bit for bit as one that nobody disturbed."""
    shutil.copytree(data, tmp_path / "set" / "shards")
    root = tmp_path / "set"
    first, second, third = ShardDataset([root]).sample_ids[:3]
    marks = [Mark(first, "reject"), Mark(second, "doubt"), Mark("0" * 32, "reject")]
    append_marks(root, marks)
    undisturbed = train([root], ONE, tmp_path / "undisturbed", models, options=PLAIN)

    with pytest.raises(Killed):
        train([root], ONE, tmp_path / "run", models, options=PLAIN, watcher=Steps(dies_at=6))
    append_marks(root, [Mark(second, "reject"), Mark(first, "none")])
    resumed = train([root], ONE, tmp_path / "run", models, options=PLAIN)
    assert json.loads((tmp_path / "run" / LEFT_OUT_FILE).read_text()) == [first], "what the shards lack does not count"
    assert same(resumed.generator.state_dict(), undisturbed.generator.state_dict())
    assert resumed.key == undisturbed.key

    run = open_run([root / "shards"], ONE, tmp_path / "next", models, 0, None, Execution(micro=2))
    assert run.dataset.left_out == (second,)
    assert set(run.dataset.sample_ids) == set(ShardDataset([root]).sample_ids) - {second}
    assert third in run.dataset.sample_ids
    whole, part = ShardDataset([root]), run.dataset
    for i, name in enumerate(part.sample_ids):
        at = whole.sample_ids.index(name)
        assert part.read(i, "portrait") == whole.read(at, "portrait")
        assert (part.labels.bfm_id[i] == whole.labels.bfm_id[at]).all()

    (tmp_path / "run" / LEFT_OUT_FILE).write_text('["../x"]')
    with pytest.raises(StoreError, match="what the run leaves out"):
        train([root], ONE, tmp_path / "run", models, options=PLAIN)


def test_a_run_without_marks_has_no_list(whole: Path) -> None:
    assert not (whole / LEFT_OUT_FILE).exists()
