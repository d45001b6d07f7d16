"""Where tasks go: GPU resources, scheduler files, clusters that lose their workers."""

import json
import os
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import ClassVar

import dask
import pandas as pd
import pytest
from distributed import get_worker

from dataprep.errors import ClusterLost, ConfigError
from dataprep.stages.base import Result, gpu_wish
from dataprep.stages.ingest import Ingest
from dataprep.tables.columns import STRING, Column
from pipelines.engine.dag import Dag, assemble
from pipelines.engine.run import run
from pipelines.executors import worker_check
from pipelines.executors.base import Work, WorkerDied
from pipelines.executors.chosen_executor import make_executor
from pipelines.executors.dask_executor import DaskExecutor
from tests.pipelines.toy import Brightness, Inverted, Listing, make_photos, toy_dag

DEADLY = 2


@contextmanager
def keys_of(host):
    """dask's settings as somebody has them who may join a local cluster: its keys, which no file ever holds."""
    keys = host._cluster.security
    settings = {"ca-file": keys.tls_ca_file, "client.cert": keys.tls_client_cert, "client.key": keys.tls_client_key}
    with dask.config.set({f"distributed.comm.tls.{name}": value for name, value in settings.items()}):
        yield


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 200)
    return folder


@dataclass(frozen=True)
class Shaded(Inverted):
    """The stage that wishes for a GPU; every row says which worker made it and which devices that saw."""

    columns: ClassVar[tuple[Column, ...]] = (
        *Inverted.columns,
        Column("worker", STRING, "the worker's name"),
        Column("visible", STRING, "CUDA_VISIBLE_DEVICES of the worker"),
    )

    def resources(self) -> dict[str, float]:
        return gpu_wish("auto")

    def process_item(self, item, tools):
        made = super().process_item(item, tools).columns
        return Result(columns=made | {"worker": str(get_worker().name), "visible": os.environ["CUDA_VISIBLE_DEVICES"]})


@dataclass(frozen=True)
class Placed(Brightness):
    """Notes which worker made a row."""

    columns: ClassVar[tuple[Column, ...]] = (*Brightness.columns, Column("cpu_worker", STRING, "the worker's name"))

    def process_item(self, item, tools):
        made = super().process_item(item, tools)
        return replace(made, columns={**made.columns, "cpu_worker": str(get_worker().name)})


def test_who_needs_no_gpu_leaves_workers_that_have_one_to_those_who_do(photos, tmp_path):
    """As long as parts that wish for one are left; then every worker helps."""
    with DaskExecutor("local", 2, gpus=1) as executor:
        dag = assemble((Ingest(min_side_px=16), Placed(), Shaded()), (Listing(),))
        assert not run(photos, tmp_path / "out", dag, executor).failed
        rows = pd.concat(
            pd.read_parquet(path) for path in (tmp_path / "out").glob("stages/brightness-*/part-*.parquet")
        )
        assert set(rows["cpu_worker"].dropna()) == {"1"}
        assert places(tmp_path / "out") == {("0", "0")}
        everywhere = assemble((Ingest(min_side_px=16), Placed()), ())
        assert not run(photos, tmp_path / "all", everywhere, executor).failed
        rows = pd.concat(
            pd.read_parquet(path) for path in (tmp_path / "all").glob("stages/brightness-*/part-*.parquet")
        )
        assert set(rows["cpu_worker"].dropna()) == {"0", "1"}


def gpu_dag() -> Dag:
    return assemble((Ingest(min_side_px=16), Brightness(), Shaded()), (Listing(),))


def test_stages_that_wish_for_a_gpu_run_where_one_is_offered(photos, tmp_path):
    with DaskExecutor("local", 2, gpus=1) as executor:
        assert not run(photos, tmp_path, gpu_dag(), executor).failed
        assert places(tmp_path) == {("0", "0")}
        a_gpu_worker_that_leaves_for_good_ends_the_run(executor, photos, tmp_path / "left")


def a_gpu_worker_that_leaves_for_good_ends_the_run(host, photos, out):
    """Its parts neither wait for ever nor go to CPUs unasked; what needs no GPU is done."""
    scheduler = host._client.scheduler_info()
    (leaving,) = (address for address, worker in scheduler["workers"].items() if worker["resources"])
    with keys_of(host), DaskExecutor(scheduler["address"], 1, no_worker_s=2.0) as executor:
        executor._client.retire_workers([leaving], close_workers=True, remove=True)
        with pytest.raises(ClusterLost, match=r"no worker has offered a GPU for 2 s.*shhq-hs worker tls://"):
            run(photos, out, gpu_dag(), executor)
    assert len(list(out.glob("stages/brightness-*/part-*.parquet"))) > 0
    assert not list(out.glob("stages/inverted-*/part-*.parquet"))


def test_a_scheduler_file_leads_to_the_cluster_and_no_offer_drops_the_wish(photos, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    file = tmp_path / "scheduler.json"
    with DaskExecutor("local", 1, gpus=0) as host:
        file.write_text(json.dumps(host._client.scheduler_info()))
        with keys_of(host), make_executor(f"file:{file}", "auto") as executor:
            assert not run(photos, tmp_path / "out", gpu_dag(), executor).failed
    assert places(tmp_path / "out") == {("0", "")}


def places(out):
    """Which workers ran the stage, and the devices they saw."""
    rows = pd.concat(pd.read_parquet(path) for path in out.glob("stages/inverted-*/part-*.parquet"))
    return set(zip(rows["worker"].dropna(), rows["visible"].dropna(), strict=True))


def test_a_cluster_of_another_version_is_refused_and_one_left_by_workers_or_scheduler_given_up(
    photos, tmp_path, monkeypatch
):
    with (
        DaskExecutor("local", 1, no_worker_s=1.0) as host,
        keys_of(host),
        DaskExecutor(host._client.scheduler_info()["address"], 1, no_worker_s=1.0) as executor,
    ):
        with monkeypatch.context() as patch:
            patch.setattr(worker_check, "code_files", lambda: {"dataprep/tables/store.py": "of another version"})
            with pytest.raises(ConfigError, match=r"worker tls://127.0.0.1:\d+ cannot take part.*dataprep/.* differ"):
                run(photos, tmp_path / "out", toy_dag(), executor)
        assert not (tmp_path / "out" / "index.parquet").exists()  # nothing had begun
        host._cluster.scale(0)
        with pytest.raises(ClusterLost, match="workers"):
            run(photos, tmp_path / "out", toy_dag(), executor)
        with DaskExecutor(host._client.scheduler_info()["address"], 1, no_worker_s=2.0) as left:
            left.submit(Work(len, "task", "task"))
            host.close()
            with pytest.raises(ClusterLost, match="gone, and has not come back for 2 s"):
                next(left.completed())


@pytest.mark.parametrize(
    ("cluster", "workers"), [("dsk", "1"), ("file:/nowhere.json", "1"), ("local", "0"), ("local", "many")]
)
def test_impossible_executors_are_the_users_error(cluster, workers):
    with pytest.raises(ConfigError):
        make_executor(cluster, workers)


def test_a_worker_that_dies_takes_only_the_task_in_its_hands_along():
    with DaskExecutor("local", 1, gpus=0) as executor:
        for number in (1, DEADLY, 3, 4):
            executor.submit(Work(_end_if_deadly, number, f"task-{number}"))
        outcomes = {}
        while executor.pending:
            outcomes |= dict(executor.completed())
    assert isinstance(outcomes.pop(DEADLY), WorkerDied)
    assert outcomes == {1: 1, 3: 3, 4: 4}


def _end_if_deadly(number):
    time.sleep(0.2)  # the others arrive at the worker meanwhile
    if number == DEADLY:
        os._exit(1)
    return number


def test_what_is_kept_to_a_worker_that_left_goes_to_another(tmp_path):
    with DaskExecutor("local", 2, gpus=1, no_worker_s=3.0) as executor:
        (plain,) = (address for address, offers in executor._offers.items() if not offers)
        for number in range(6):
            executor.submit(Work(time.sleep, 0.3, f"task {number}", spare={"GPU"}))
        executor._client.retire_workers([plain], close_workers=True, remove=True)
        done = 0
        while done < 6:
            ((_, outcome),) = executor.completed()
            done += not isinstance(outcome, BaseException)
