"""`shhq-hs train` as a user meets it: printed presets, settings, kills, stops, and what it says."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dataprep.settings import apply
from gan.presets import PRESETS, Preset, flat, preset
from gan.training.checkpoints import BEST_FILE, STATE_FILE
from gan.training.log import LOG_FILE, METRICS_FILE, read_log
from gan.training.state import read_state
from pipelines import config_file
from pipelines.machine.stopping import stop_request
from pipelines.main import main
from tests.gan.train.runs import ONE
from tests.gan.train.test_training import assert_same_run


def settings(wanted: Preset, name: str) -> list[str]:
    """`--set` for every entry in which a preset differs from a named one."""
    pairs = zip(flat(wanted), flat(PRESETS[name]), strict=True)
    changed = [f"{entry}={value}" for (entry, value, _), (_, before, _) in pairs if value != before]
    return [word for setting in changed for word in ("--set", setting)]


def command(data: Path, out: Path, every: int) -> list[str]:
    """A command that does what `ONE` says."""
    return [
        *("train", "--data", str(data), "--preset", "tiny", "--out", str(out), *settings(ONE, "tiny")),
        *("--every", str(every), "--micro", "2", "--threads", "1", "--device", "cpu", "--measure", "0"),
    ]


def wait_for_steps(out: Path, steps: int) -> None:
    deadline = time.monotonic() + 120
    while len(read_log(out / LOG_FILE)) < steps:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_sigkill_changes_nothing(whole: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Killed in its fourth and last step, with a checkpoint after the second: the files of an undisturbed run."""
    arguments = command(data, tmp_path, every=4)
    run = subprocess.Popen([sys.executable, "-m", "pipelines.main", *arguments])
    try:
        wait_for_steps(tmp_path, 3)
    finally:
        run.kill()
    assert run.wait() == -signal.SIGKILL
    assert len(read_log(tmp_path / LOG_FILE)) == 3
    assert read_state(tmp_path / STATE_FILE)["images_seen"] == 4
    assert main(arguments) == 0
    said = capsys.readouterr().out
    assert "going on after 4 of 8 images" in said
    assert "Eq. 9 has weight 0, the term is left out" in said
    assert "trained on 8 images" in said
    for snapshot in tmp_path.glob("snapshot-000000004*"):  # the undisturbed run made one at its end only
        snapshot.unlink()
    config = tmp_path / config_file.NAME  # the command's own: `whole` was made without one
    before = config.read_bytes()
    assert main(["train", "--config", str(config)]) == 0
    assert "going on after 8 of 8 images" in capsys.readouterr().out
    assert config.read_bytes() == before
    config.unlink()
    assert_same_run(tmp_path, whole, snapshots=True)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 75), (signal.SIGUSR1, 75)], ids=lambda one: str(one)
)
def test_a_signal_ends_with_a_checkpoint_and_says_how_to_go_on(
    number: int, status: int, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """A person's Ctrl-C, or a machine that is being taken away, which has an exit status of its own."""

    def send() -> None:
        wait_for_steps(tmp_path, 1)
        os.kill(os.getpid(), number)

    arguments = [*command(data, tmp_path, every=100_000), "--set", "images=100000"]
    thread = threading.Thread(target=send)
    thread.start()
    assert main(arguments) == status
    thread.join()
    said = capsys.readouterr()
    assert "stopping after this step" in said.err
    assert f"run the same command again: shhq-hs train --data {data}" in said.out
    assert read_state(tmp_path / STATE_FILE)["images_seen"] == 2 * len(read_log(tmp_path / LOG_FILE))


def test_slurm_s_second_signal_abandons_nothing() -> None:
    """SIGUSR1 announces the end, SIGTERM follows while the state is written; Ctrl-C still counts."""
    with stop_request() as stop:
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        assert (stop.requested, stop.exit_status) == (True, 75)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    with stop_request():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)


def test_checkpoints_are_measured_by_default(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = [*command(data, tmp_path, every=4)[:-1], "auto", "--set", "images=4"]
    assert main(arguments) == 0
    said = capsys.readouterr().out
    (row,) = read_log(tmp_path / METRICS_FILE)
    assert f"4 of 4 images  frechet_span/portrait {row['frechet_span/portrait']:.4g}" in said
    assert row["pictures"] == 50
    assert f"measured best: {tmp_path / BEST_FILE}" in said
    assert main([*arguments[:-3], "1"]) == 2
    assert "--measure 1: expected auto, 0, or a number of pictures of at least 2" in capsys.readouterr().err


def test_print_says_where_values_come_from(capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--preset", "paper-stage1", "--print", "--set", "batch=8", "--set", "with_torso=no"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["adversarial.face"] == ["1.0", "paper"]
    assert lines["r1_gamma"] == ["1.0", "assumed"]
    assert lines["batch"] == ["8", "ours"]
    assert lines["with_torso"] == ["False", "ours"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("landmark=1", "did you mean deformation.landmark"),
        ("batch", "expected name=value"),
        ("batch=many", "a whole number between 1 and 65536"),
        ("with_face=perhaps", "true or false"),
        ("adam_betas=0.5", "2 numbers"),
        ("portrait_px=64", "ray_size"),
    ],
)
def test_wrong_settings_are_explained(wrong: str, said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--preset", "tiny", "--print", "--set", wrong]) == 2
    assert said in capsys.readouterr().err


def test_settings_take_effect_together() -> None:
    changed = apply(
        preset("tiny"), ["generator.ray_size=64", "generator.image_size=64", "portrait_px=64", "face_px=64"]
    )
    assert changed.generator.ray_size == changed.portrait_px == 64
    assert apply(preset("tiny"), ["adam_betas=0.5,0.9"]).adam_betas == (0.5, 0.9)


def test_data_and_out_are_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["train", "--preset", "tiny"]) == 2
    assert "--data OUT and --out RUN" in capsys.readouterr().err
    assert main(["train", "--preset", "tiny", "--data", str(tmp_path), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert "shhq-hs run PHOTOS" in said
    assert "to resume" not in said
