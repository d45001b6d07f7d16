"""The recipes of docs/clusters/, as far as a machine without Slurm and Kubernetes can try them.

`sbatch` and `scancel` are stand-ins that start and end the job script as it is; scheduler, workers and driver are real.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress

import pytest

from tests.pipelines.executors import test_cluster
from tests.pipelines.executors.test_cluster import DRIVER, ROOT
from tests.pipelines.test_run import payload

SLURM = ROOT / "docs/clusters/slurm_workers.py"
SBATCH = """#!/bin/bash
# The last argument is the script, deleted when this ends. As in Slurm: a session and an output file of its own.
cp "${@: -1}" "$JOBS/script.$$"
setsid bash "$JOBS/script.$$" > "$JOBS/job.$$" 2>&1 &
echo $! >> "$JOBS/started"
echo "Submitted batch job $!"
"""
SCANCEL = """#!/bin/bash
echo "$1" >> "$JOBS/ended"
kill -TERM -- "-$1" 2> /dev/null
exit 0
"""

photos, serial = test_cluster.photos, test_cluster.serial
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("dask_jobqueue") is None, reason="needs dask-jobqueue"),
]


@pytest.fixture
def jobs(tmp_path):
    """A folder with a queue's commands, and what they did."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    yield folder
    for job in started(folder):
        with suppress(ProcessLookupError):
            os.killpg(job, signal.SIGKILL)


def started(jobs):
    return [int(line) for line in (jobs / "started").read_text().split()] if (jobs / "started").exists() else []


def environment(jobs):
    seen = jobs.parent / "seen"
    seen.mkdir(exist_ok=True)  # where the toy stage notes its host
    return os.environ | {
        "PATH": f"{jobs}:{os.environ['PATH']}", "JOBS": str(jobs), "TEST_HOST": "job", "TEST_PAUSE_S": "0.2",
        "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
        "DASK_DISTRIBUTED__ADAPTIVE__TARGET_DURATION": "1s",
    }  # fmt: skip


@contextmanager
def slurm(jobs, *more):
    """Keep the recipe running, with jobs of one core."""
    file = jobs / "scheduler.json"
    command = [sys.executable, str(SLURM), "--cores", "1", "--memory", "2GB", "--walltime", "00:10:00", "--port", "0",
               "--least-jobs", "1", "--most-jobs", "3", "--scheduler-file", str(file), *more]  # fmt: skip
    with subprocess.Popen(command, cwd=jobs, env=environment(jobs), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert "shhq-hs run" in process.stdout.readline()
            yield file
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0


def test_the_job_script_is_one(jobs):
    command = [sys.executable, str(SLURM), "--print", "--gpu", "--walltime", "1-02:00:00", "--partition", "long",
               "--port", "0"]  # fmt: skip
    script = subprocess.run(command, env=environment(jobs), capture_output=True, text=True, check=True).stdout
    (jobs / "script").write_text(script)
    subprocess.run(["bash", "-n", str(jobs / "script")], check=True)
    assert "#SBATCH --gres=gpu:1" in script
    assert "#SBATCH -p long" in script
    assert "#SBATCH -t 1-02:00:00" in script
    assert "export MALLOC_ARENA_MAX=1" in script
    assert "--nthreads 1 " in script
    assert "--resources GPU=1" in script
    assert "--lifetime 93300s" in script
    hasty = [*command[:-4], "--walltime", "00:05:00"]
    short = subprocess.run(hasty, env=environment(jobs), capture_output=True, text=True)
    assert "expected more than 7 minutes" in short.stderr


def test_jobs_come_with_the_work_go_with_it_and_may_be_preempted(photos, serial, jobs, tmp_path):
    """One job is killed while it works; the bytes are those of a serial run."""
    with slurm(jobs) as file:
        drive = [sys.executable, "-c", DRIVER, str(photos), str(tmp_path / "out"), f"file:{file}", "1"]
        driver = subprocess.Popen(drive, env=environment(jobs), cwd=ROOT)
        killed, deadline = False, time.monotonic() + 180
        while driver.poll() is None:
            time.sleep(0.5)
            if time.monotonic() > deadline:
                driver.kill()
                pytest.fail("\n".join(path.read_text()[-2000:] for path in jobs.glob("job.*")))
            parts = len(list((tmp_path / "out").glob("stages/*/part-*.parquet")))
            if not killed and parts >= 3 and len(started(jobs)) >= 2:
                os.killpg(started(jobs)[0], signal.SIGKILL)
                killed = True
        assert driver.returncode == 0
        assert killed
        assert len(started(jobs)) >= 3, "another one was asked for"
        assert payload(tmp_path / "out") == serial
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (jobs / "ended").exists():
            time.sleep(1)
        assert (jobs / "ended").exists(), "what has nothing to do is given back"
