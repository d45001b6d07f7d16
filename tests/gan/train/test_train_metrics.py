"""Measurements of checkpoints: the curve, what is best, stops, kills, several processes, and who hears of it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gan.evaluation.evaluation_run import Options, evaluate
from gan.evaluation.feature_networks import offline_networks
from gan.evaluation.training_meter import TrainingMeter
from gan.training.checkpoints import BEST_FILE, GENERATOR_FILE, best_of, numbered
from gan.training.events import EVENTS_FILE
from gan.training.execution import Execution
from gan.training.log import METRICS_FILE, PICTURES, read_log
from gan.training.loop import RunOptions, train
from gan.training.setup import Models, open_run
from gan.training.wandb_watcher import ID_FILE, WandbWatcher
from gan.training.watchers import Watcher, Watchers
from pipelines.main import main
from tests.gan.train.runs import ALL, EVERY, ONE, meter_of, shipped_models
from tests.gan.train.test_train_command import command
from tests.gan.train.test_train_events import records
from tests.gan.train.test_train_gradients import free_port
from tests.gan.train.test_training import Killed, Steps, assert_same_run

COUNT = 20  # pictures: more than one chunk


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def measured(data: Path, models: Models, cache: Path) -> RunOptions:
    """A checkpoint, snapshots and a measurement every 2 of 8 images; the last one and the best one stay."""
    meter = TrainingMeter((data,), ONE, 0, COUNT, 100, offline_networks(), cache)
    return replace(EVERY, checkpoint_images=2, snapshot_images=4, keep=1, meter=meter)


@pytest.fixture(scope="module")
def curve(data: Path, models: Models, measured: RunOptions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("curve")
    torch.set_num_threads(1)
    train([data], ONE, out, models, options=measured)
    return out


class Measurements(Watcher):
    """Notes what it hears; dies or stops in the middle of things."""

    def __init__(self, dies_in_measurement: int = -1, stops_in_measurement: int = -1) -> None:
        self.numbers: dict[int, dict[str, float]] = {}
        self.pictures: dict[int, list[str]] = {}
        self._seen, self._asked = 0, 0
        self._dies, self._stops = dies_in_measurement, stops_in_measurement

    def did_step(self, images_seen: int, losses: dict[str, float]) -> None:
        self._seen, self._asked = images_seen, 0

    def did_measure(self, images_seen: int, metrics: dict[str, float]) -> None:
        self.numbers[images_seen] = metrics

    def did_snapshots(self, images_seen: int, pngs: Mapping[str, bytes]) -> None:
        self.pictures[images_seen] = sorted(pngs)

    def stops(self) -> bool:
        """Asked once after the step, and then before every chunk of the measurement."""
        self._asked += 1
        if self._asked > 2 and self._seen == self._dies:
            raise Killed
        return self._asked > 2 and self._seen == self._stops


def test_every_checkpoint_is_measured_as_evaluate_does(curve: Path, data: Path, cache: Path, tmp_path: Path) -> None:
    rows = read_log(curve / METRICS_FILE)
    assert [row["images_seen"] for row in rows] == [2, 4, 6, 8]
    options = Options(curve, (data,), tmp_path, count=COUNT, control=0, people=0, initial=False, cache=cache)
    outcome = evaluate(options, lambda what, total: lambda images: None)
    numbers = {
        f"{one.protocol.metric}/{one.protocol.view}": one.value
        for one in outcome.measurements
        if one.of == "this generator" and one.protocol.metric.startswith("frechet")
    }
    assert len(numbers) == 4
    for name, value in numbers.items():
        assert rows[-1][name] == pytest.approx(value, rel=1e-5), name
    assert rows[-1]["pictures"] == COUNT
    assert rows[-1]["real_pictures"] == len(outcome.reals)


def test_the_best_and_the_last_stay(curve: Path) -> None:
    rows = read_log(curve / METRICS_FILE)
    best = min(rows, key=lambda row: row["frechet_span/portrait"])["images_seen"]
    names = sorted(path.name for path in (curve / "checkpoints").iterdir())
    assert names == sorted(f"{kind}-{images:012d}.pt" for kind in ("generator", "state") for images in {best, 8})
    assert (curve / BEST_FILE).read_bytes() == numbered(curve, GENERATOR_FILE, best).read_bytes()


def test_only_what_was_measured_alike_is_compared() -> None:
    name, fid = "frechet_span/portrait", "FID/portrait"
    rows = [{"images_seen": seen, "pictures": 50, name: value} for seen, value in ((2, 5.0), (4, 3.0), (6, 3.0))]
    assert best_of(rows, 2) == [4, 6]
    assert best_of([*rows, {"images_seen": 8, "pictures": 90, name: 9.0}], 2) == [8]
    assert best_of([*rows, {"images_seen": 8, "pictures": 50, name: 9.0, fid: 70.0}], 2) == [8]
    assert best_of([], 1) == best_of(rows, 0) == []


@pytest.mark.parametrize("how", [{"dies_in_measurement": 4}, {"stops_in_measurement": 4}])
def test_a_run_that_ends_within_a_measurement_does_it_first_when_it_goes_on(
    how: dict, curve: Path, data: Path, models: Models, measured: RunOptions, tmp_path: Path
) -> None:
    """The checkpoint comes before its measurement. All files are those of the undisturbed run, TensorBoard's too."""
    watcher = Measurements(**how)
    if "dies_in_measurement" in how:
        with pytest.raises(Killed):
            train([data], ONE, tmp_path, models, options=measured, watcher=watcher)
    else:
        assert train([data], ONE, tmp_path, models, options=measured, watcher=watcher).images_seen == 4
    assert sorted(watcher.numbers) == [2]
    again = Measurements()
    train([data], ONE, tmp_path, models, options=measured, watcher=again)
    assert sorted(again.numbers) == [4, 6, 8]
    assert_same_run(tmp_path, curve, snapshots=True)
    assert (tmp_path / PICTURES).read_bytes() == (curve / PICTURES).read_bytes()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == sorted(
        path.name for path in (curve / "checkpoints").iterdir()
    )


def test_a_killed_run_has_the_curve_of_an_undisturbed_one(
    curve: Path, data: Path, models: Models, measured: RunOptions, tmp_path: Path
) -> None:
    rare = replace(measured, checkpoint_images=4, snapshot_images=4)
    with pytest.raises(Killed):
        train([data], ONE, tmp_path, models, options=rare, watcher=Steps(dies_at=6))
    train([data], ONE, tmp_path, models, options=rare)
    rows = {row["images_seen"]: row for row in read_log(curve / METRICS_FILE)}
    assert read_log(tmp_path / METRICS_FILE) == [rows[4], rows[8]]


def test_tensorboard_holds_losses_pictures_and_measurements(curve: Path) -> None:
    events = records((curve / EVENTS_FILE).read_bytes())[1:]
    tags = (b"loss/r1_face", b"metric/frechet_span/face")
    assert [[tag for tag in tags if tag in event] for event in events] == [[tag] for tag in tags] * 4
    pictures = records((curve / PICTURES).read_bytes())[1:]
    names = [f"snapshot-00000000{seen}-{name}.png" for seen in (4, 8) for name in ("free", "psi0.7")]
    assert all((curve / name).read_bytes() in event for name, event in zip(names, pictures, strict=True))
    assert b"snapshot/psi0.7" in pictures[-1]


def test_a_second_average_is_measured_too(data: Path, cache: Path) -> None:
    preset = replace(ALL, deformation=ONE.deformation)
    run = open_run([data], preset, Path("nowhere"), shipped_models(), 0, None, Execution())
    meter = TrainingMeter((data,), preset, 0, 4, 5, offline_networks(), cache)
    numbers = meter([average for average, _ in run.state.averages], Execution(), never)
    assert numbers is not None
    assert numbers["second/frechet_span/face"] == numbers["frechet_span/face"]  # nothing has moved yet
    assert numbers["real_pictures"] == 5
    assert meter([run.state.average], Execution(), lambda: True) is None


@pytest.mark.slow
def test_two_processes_measure_as_one(data: Path, cache: Path, whole: Path, tmp_path: Path) -> None:
    environment = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    arguments = [sys.executable, "-m", "tests.gan.train.runs", "measure", str(data), str(tmp_path), str(whole)]
    ranks = [subprocess.Popen(arguments, env=environment | {"RANK": str(rank)}) for rank in range(2)]
    alone = meter_of(data, cache)([open_run([data], ONE, whole, shipped_models(), 0, None, Execution()).state.average],
                                  Execution(), never)  # fmt: skip
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    for rank in range(2):
        assert torch.load(tmp_path / f"measured-rank{rank}.pt") == alone


# -- Weights & Biases: the real package, which keeps everything on this machine


def test_wandb_is_asked_for_by_name(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch) -> None:
    """Where it is not installed the run does not begin, and says what to type."""
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main([*command(data, tmp_path, every=4), "--log", "wandb"]) == 2
    assert "pip install 'shhq-hs[wandb]'" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.pt"))


@pytest.mark.slow
def test_wandb_hears_everything_and_a_run_that_goes_on_is_the_same(
    curve: Path, data: Path, models: Models, measured: RunOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb", reason="pip install 'shhq-hs[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for stops_at in (4, -1):
        sending = WandbWatcher(tmp_path)
        train([data], ONE, tmp_path, models, options=measured, watcher=Watchers([Steps(stops_at=stops_at), sending]))
        sending.close()
    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    name = (tmp_path / ID_FILE).read_text().strip()
    assert [name in file.name for file in files] == [True, True]
    content = b"".join(file.read_bytes() for file in files)
    for said in (b"loss/r1_face", b"metric/frechet_span/portrait", b"snapshot/free", b"r1_gamma"):
        assert said in content
    assert wandb.run is None
