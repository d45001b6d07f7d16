"""SIGKILL at any moment, then the same command: the bytes of an undisturbed run."""

import shutil
import sys
from pathlib import Path

import pytest

from pipelines import paper_stages
from pipelines.engine.last_run import remember
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from tests.fake_dataset import make_dataset
from tests.fake_dataset import make_photos as make_astronauts
from tests.pipelines.kills import ROOT, Kill, kill_until_done, plan_kills, slow_dag
from tests.pipelines.test_run import payload
from tests.pipelines.toy import make_photos
from tools.scale.small_photos import make_tiny_photos
from tools.scale.standin_stages import replayed

TOY = """
import sys
from pathlib import Path
from tests.pipelines.kills import slow_dag
from pipelines.executors.dask_executor import DaskExecutor
from pipelines.engine.run import run
if __name__ == "__main__":
    with DaskExecutor("local", 2) as executor:
        sys.exit(bool(run(Path(sys.argv[1]), Path(sys.argv[2]), slow_dag(), executor, max_error_fraction=1.0).failed))
"""


def parts_in(out):
    return lambda: len(list(out.glob("stages/*/part-*.parquet")))


def test_kills_at_random_end_in_the_same_bytes(tmp_path):
    make_photos(tmp_path / "photos", 80)  # parts enough for every kill on a busy machine, where each comes late
    with SerialExecutor() as executor:
        run(tmp_path / "photos", tmp_path / "undisturbed", slow_dag(), executor)
    (tmp_path / "toy_run.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{TOY}")
    out = tmp_path / "out"
    command = [sys.executable, str(tmp_path / "toy_run.py"), str(tmp_path / "photos"), str(out)]
    plans = plan_kills(3, seed=int(Path("/proc/sys/kernel/random/uuid").read_text()[:8], 16), most_files=6)
    hit = kill_until_done(command, parts_in(out), plans, timeout_s=300)
    assert len(hit) == 3, f"only {hit} of {plans}"
    assert payload(out) == payload(tmp_path / "undisturbed"), plans


@pytest.mark.slow
def test_twenty_kills_of_the_sample_build_end_in_the_same_bytes(tmp_path):
    """The real thing with the small super-resolution network."""
    photos = tmp_path / "photos"
    shutil.copytree(ROOT / "samples" / "people", photos)
    command = [
        sys.executable, "-m", "pipelines.main", "run", str(photos), "--workers", "2",
        "--set", "superres.model=span", "--set", "superres.precision=float32",
    ]  # fmt: skip
    out, undisturbed = tmp_path / "out", tmp_path / "undisturbed"
    assert kill_until_done([*command, "--out", str(undisturbed)], parts_in(undisturbed), [], timeout_s=1800) == []
    plans = plan_kills(20, seed=0, most_files=6)
    hit = kill_until_done([*command, "--out", str(out)], parts_in(out), plans, timeout_s=3600)
    assert len(hit) == 20, hit
    assert payload(out) == payload(undisturbed)


AGGREGATES = """
import sys
from pathlib import Path
from pipelines.engine.run import run
from pipelines.executors.dask_executor import DaskExecutor
from tools.scale.standin_stages import replayed
if __name__ == "__main__":
    with DaskExecutor("local", 2) as executor:
        photos, out, donor = map(Path, sys.argv[1:])
        sys.exit(bool(run(photos, out, replayed(donor).until("shards"), executor).failed))
"""


@pytest.mark.slow
def test_five_kills_inside_manifest_and_shards_end_in_the_same_bytes(tmp_path):
    """Scratch files of the aggregates tell where the run is: each kill strikes after some more of them."""
    make_astronauts(tmp_path / "donors", 6)
    view = make_dataset(tmp_path / "donors", tmp_path / "donor", {}, small=True)
    remember(view.store, paper_stages.build())
    make_tiny_photos(tmp_path / "photos", 60)
    with SerialExecutor() as executor:
        run(tmp_path / "photos", tmp_path / "undisturbed", replayed(tmp_path / "donor").until("shards"), executor)
    (tmp_path / "toy_run.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n{AGGREGATES}")
    out = tmp_path / "out"
    command = [
        sys.executable,
        str(tmp_path / "toy_run.py"),
        *(str(tmp_path / name) for name in ("photos", "out", "donor")),
    ]
    plans = [Kill("driver", 1, 0.0), Kill("worker", 2, 0.0), Kill("both", 3, 0.0), Kill("worker", 1, 0.01),
             Kill("group", 2, 0.01)]  # fmt: skip
    hit = kill_until_done(command, lambda: len(list(out.glob("stages/*/scratch/*"))), plans, timeout_s=300)
    assert len(hit) == 3, f"only {hit} of {plans}"
    assert payload(out) == payload(tmp_path / "undisturbed")
    assert not list(out.glob("stages/*/scratch"))
