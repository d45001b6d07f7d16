"""Training steps and runs, at sizes that take no time."""

import copy
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dataprep.errors import AssetError, ConfigError
from gan.checkpoint import load_into, read_checkpoint
from gan.errors import BasisError
from gan.networks.critics import Critics
from gan.training.checkpoints import GENERATOR_FILE, STATE_FILE, numbered
from gan.training.errors import Diverged, RunMismatch
from gan.training.execution import Execution
from gan.training.loop import train
from gan.training.setup import Models
from gan.training.state import TrainState, read_state
from gan.training.steps import warm_up
from gan.training.watchers import Watcher
from tests.gan.train.runs import ONE, PLAIN, TWO


class Killed(Exception):
    """Stands for the end of the process."""


class Steps(Watcher):
    """Notes the steps; dies or stops after a number of images."""

    def __init__(self, dies_at: int = -1, stops_at: int = -1) -> None:
        self.dies_at, self.stops_at = dies_at, stops_at
        self.seen: list[int] = []

    def did_step(self, images_seen: int, losses: dict[str, float]) -> None:
        self.seen.append(images_seen)
        if images_seen == self.dies_at:
            raise Killed

    def stops(self) -> bool:
        return self.stops_at in self.seen[-1:]


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def test_a_killed_run_ends_as_the_undisturbed_one(whole: Path, data: Path, models: Models, tmp_path: Path) -> None:
    """Weights, average, optimisers and every logged loss, bit for bit; the checkpoint lies at 4 of 8 images."""

    with pytest.raises(Killed):
        train([data], ONE, tmp_path, models, options=PLAIN, watcher=Steps(dies_at=6))
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"images_se')  # half a line, and half a checkpoint
    (tmp_path / (STATE_FILE + ".partial")).write_bytes(b"PK")
    (tmp_path / (GENERATOR_FILE + ".partial")).symlink_to(tmp_path / "planted.partial")
    steps = Steps()
    train([data], ONE, tmp_path, models, options=replace(PLAIN, workers=1), watcher=steps)
    assert steps.seen == [6, 8]
    assert_same_run(tmp_path, whole)
    assert not (tmp_path / "planted.partial").exists(), "nothing is written through links"


def assert_same_run(one: Path, other: Path, snapshots: bool = False) -> None:
    """Everything that two folders of runs hold is the same to the last bit."""
    files = [path.name for path in other.iterdir() if path.is_file()]
    names = sorted(name for name in files if snapshots or not name.endswith(".png"))
    assert sorted(path.name for path in one.iterdir() if path.is_file() and path.suffix != ".partial") == names
    for name in names:
        if name.endswith(".pt"):
            assert same(torch.load(one / name, weights_only=True), torch.load(other / name, weights_only=True)), name
        else:
            assert (one / name).read_bytes() == (other / name).read_bytes(), name


def test_a_stopped_run_leaves_a_checkpoint(whole: Path, data: Path, models: Models, tmp_path: Path) -> None:
    """A clean stop after 2 of 8 images; the checkpoint was not due before 4."""
    state = train([data], ONE, tmp_path, models, options=PLAIN, watcher=Steps(stops_at=2))
    assert state.images_seen == read_state(tmp_path / STATE_FILE)["images_seen"] == 2
    train([data], ONE, tmp_path, models, options=PLAIN)
    assert_same_run(tmp_path, whole)


def test_a_finished_run_does_nothing(whole: Path, data: Path, models: Models) -> None:
    before = (whole / STATE_FILE).stat().st_mtime_ns
    state = train([data], ONE, whole, models, options=PLAIN, watcher=(steps := Steps()))
    assert not steps.seen
    assert state.images_seen == 8
    assert (whole / STATE_FILE).stat().st_mtime_ns == before


@pytest.mark.parametrize("damage", ["one bit", "half of it"])
def test_a_damaged_state_is_passed_over_for_the_one_before(
    damage: str, whole: Path, data: Path, models: Models, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for path in (run / STATE_FILE, numbered(run, STATE_FILE, 8)):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content if damage == "one bit" else content[: len(content) // 2])
    train([data], ONE, run, models, options=PLAIN, watcher=(steps := Steps()))
    assert steps.seen == [6, 8]
    assert f"{run / STATE_FILE} is damaged" in capsys.readouterr().err
    assert_same_run(run, whole, snapshots=True)


def test_the_last_checkpoints_stay(data: Path, models: Models, tmp_path: Path) -> None:
    options = replace(PLAIN, checkpoint_images=2, keep=2)
    train([data], ONE, tmp_path, models, options=options)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        f"{kind}-{images:012d}.pt" for kind in ("generator", "state") for images in (6, 8)
    ]
    for damaged in (tmp_path / "checkpoints").iterdir():
        damaged.write_bytes(b"")  # the newest ones are the same files
    with pytest.raises(AssetError, match="none of its 3 checkpoints is whole"):
        train([data], ONE, tmp_path, models, options=options)


def test_another_run_is_not_continued(whole: Path, data: Path, models: Models) -> None:
    with pytest.raises(RunMismatch, match=r"preset\.r1_gamma was 1\.0, is 7\.0"):
        train([data], replace(ONE, r1_gamma=7.0), whole, models, options=PLAIN)
    with pytest.raises(RunMismatch, match="seed was 0, is 1"):
        train([data], ONE, whole, models, seed=1, options=PLAIN)


def test_models_must_be_those_of_the_labels(built: Path, data: Path, models: Models, tmp_path: Path) -> None:
    with pytest.raises(BasisError, match="body_x"):
        train([built], ONE, tmp_path, models, options=PLAIN)
    with pytest.raises(ConfigError, match="--from"):
        train([data], TWO, tmp_path, models, options=PLAIN)


def test_stage_1_trains_everything_but_u(whole: Path) -> None:
    content = read_state(whole / STATE_FILE)
    rows = [json.loads(line) for line in (whole / "log.jsonl").read_text().splitlines()]
    assert [row["images_seen"] for row in rows] == [2, 4, 6, 8]
    for name in ("imitation", "pose_smooth", "expression_smooth", "minimal", "r1_torso", "generator_camera"):
        assert all(name in row for row in rows)
    assert rows[0]["minimal"] == 0  # D_e starts as the identity ...
    assert rows[-1]["minimal"] > 0  # ... and is trained
    moved = {
        name
        for name, value in content["generator"].items()
        if not torch.equal(value, content["average"][name])  # the average trails behind whatever moves
    }
    for net in ("radiance_net", "sample_net", "deform_net", "smoother"):
        assert any(name.startswith(net) for name in moved)
    assert not any(name.startswith("sr_net") for name in moved)


def test_stage_2_trains_u_alone(whole: Path, data: Path, models: Models, tmp_path: Path) -> None:
    state = train([data], TWO, tmp_path, models, begun_from=whole, options=PLAIN)
    before = read_state(whole / STATE_FILE)["average"]
    for name, value in state.generator.state_dict().items():
        assert torch.equal(value, before[name]) != (name in _moving(state)), name
    checkpoint = read_checkpoint(tmp_path / "generator.pt")
    twin = copy.deepcopy(state.generator)
    load_into(twin, checkpoint, state.key.bases)  # `animate` can read it
    assert same(twin.state_dict(), state.average.state_dict())


def _moving(state: TrainState) -> set[str]:
    """All of U; at least its biases and weights get gradients."""
    return {name for name, _ in state.generator.named_parameters() if name.startswith("sr_net.")}


def test_micro_batches_add_up(data: Path, models: Models, tmp_path: Path) -> None:
    """Losses and gradients of one step do not depend on how the batch is cut."""
    short = replace(ONE, images=2, mirror=False)
    runs = [
        train([data], short, tmp_path / str(micro), models, options=replace(PLAIN, execution=Execution(micro=micro)))
        for micro in (1, 2)
    ]
    logs = [json.loads((tmp_path / name / "log.jsonl").read_text()) for name in ("1", "2")]
    for name, value in logs[0].items():
        assert value == pytest.approx(logs[1][name], rel=2e-3, abs=1e-6), name
    for one, other in zip(runs[0].trained, runs[1].trained, strict=True):
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=2e-2, atol=1e-5)


def test_warm_up_rises_to_one() -> None:
    assert [warm_up(ONE, n) for n in (-3, 0, 2, 4, 100)] == [0, 0, 0.5, 1, 1]


def test_a_diverged_run_keeps_its_last_checkpoint(data: Path, models: Models, tmp_path: Path) -> None:
    train([data], replace(ONE, images=2), tmp_path, models, options=PLAIN)
    content = read_state(tmp_path / STATE_FILE)
    content["critics"]["whole.last.bias"][0] = float("nan")
    torch.save(content, tmp_path / STATE_FILE)
    before = (tmp_path / STATE_FILE).read_bytes()
    with pytest.raises(Diverged, match=f"after 2 images the critic's .*--set critic_lr=.*--from {tmp_path}"):
        train([data], ONE, tmp_path, models, options=PLAIN)
    assert (tmp_path / STATE_FILE).read_bytes() == before


def test_a_run_that_diverges_at_once_is_not_told_to_go_on(
    data: Path, models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*sizes: object) -> Critics:
        critics = Critics(*sizes)
        torch.nn.init.constant_(critics.whole.last.bias, float("nan"))
        return critics

    monkeypatch.setattr("gan.training.state.Critics", broken)
    with pytest.raises(Diverged, match=r"no checkpoint yet: begin again with a lower learning rate"):
        train([data], ONE, tmp_path, models, options=PLAIN)
    assert not list(tmp_path.rglob("*.pt"))
