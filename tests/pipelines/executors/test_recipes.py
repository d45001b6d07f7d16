"""The recipes of docs/clusters/, as far as a machine without Slurm and Kubernetes can try them.

`sbatch` and `scancel` are stand-ins that start and end the job script as it is; scheduler, workers and driver are real.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from tests.pipelines.executors import test_cluster
from tests.pipelines.executors.test_cluster import DRIVER, ROOT, free_port
from tests.pipelines.test_run import payload

PATHS = f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"
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
pytestmark = pytest.mark.slow
needs_jobqueue = pytest.mark.skipif(importlib.util.find_spec("dask_jobqueue") is None, reason="needs dask-jobqueue")


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
        "PYTHONPATH": PATHS,
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


@needs_jobqueue
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


@needs_jobqueue
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


# -- Kubernetes


def manifests():
    return list(yaml.safe_load_all((ROOT / "docs/clusters/kubernetes.yaml").read_text()))


def commands():
    """Name of the pod -> its command."""
    pods = {
        one["metadata"]["name"]: one["spec"]["template"]["spec"] for one in manifests() if "template" in one["spec"]
    }
    return {name: pod["containers"][0]["command"] for name, pod in pods.items()}


@pytest.mark.skipif(importlib.util.find_spec("kubernetes") is None, reason="needs kubernetes")
def test_manifests_are_what_kubernetes_takes():
    """Read into the models of Kubernetes' own client, which refuse a field that is missing or unknown."""
    from kubernetes import client

    models = {"NetworkPolicy": client.V1NetworkPolicy, "Service": client.V1Service,
              "Deployment": client.V1Deployment, "Job": client.V1Job}  # fmt: skip
    for one in manifests():
        models[one["kind"]].model_validate(one)
    _, _, scheduler, *_ = manifests()
    del scheduler["spec"]["selector"]
    with pytest.raises(ValueError, match="selector"):
        client.V1Deployment.model_validate(scheduler)
    worker = manifests()[3]
    worker["spec"]["template"]["spec"]["containers"][0]["commands"] = []
    with pytest.raises(ValueError, match="commands"):
        client.V1Deployment.model_validate(worker)


def test_the_pods_commands_work_together(tmp_path):
    """On this machine, as processes: scheduler, workers, and the driver up to the first stage."""
    port = free_port()
    (tmp_path / "photos").mkdir()
    for name in ("p001.jpg", "p002.jpg"):
        shutil.copy(ROOT / "samples/people/no_segment" / name, tmp_path / "photos")
    here = {
        "tcp://shhq-scheduler:8786": f"tcp://127.0.0.1:{port}", "8786": str(port), "16": "2",
        "s3://bucket/people": str(tmp_path / "photos"), "s3://bucket/out": str(tmp_path / "out"),
    }  # fmt: skip
    pods = {name: [here.get(word, word) for word in command] for name, command in commands().items()}
    assert set(pods) == {"shhq-scheduler", "shhq-workers", "shhq-gpu-workers", "shhq-run"}
    with process(*pods["shhq-scheduler"], "--host", "127.0.0.1"), process(*pods["shhq-workers"]):
        driver = [str(Path(sys.executable).parent / word) if word == "shhq-hs" else word for word in pods["shhq-run"]]
        done = subprocess.run([*driver, "--until", "ingest"], capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "2 workers" in done.stderr
    assert len(list((tmp_path / "out").glob("stages/ingest-*/part-*.parquet"))) == 1


@contextmanager
def process(program, *words):
    """A program of this environment, ended at the end."""
    with subprocess.Popen([str(Path(sys.executable).parent / program), *words], cwd=ROOT, start_new_session=True,
                          env=os.environ | {"PYTHONPATH": PATHS}, stderr=subprocess.DEVNULL) as one:  # fmt: skip
        try:
            time.sleep(4)
            assert one.poll() is None
            yield one
        finally:
            with suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGTERM)
            one.wait(30)


# -- Prometheus


@pytest.mark.skipif(importlib.util.find_spec("prometheus_client") is None, reason="needs prometheus_client")
def test_prometheus_reads_how_far_stages_are(photos, tmp_path):
    port, pages = free_port(), free_port()
    with (
        process("dask", "scheduler", "--host", "127.0.0.1", "--port", str(port), "--dashboard-address",
                f"127.0.0.1:{pages}"),
        process("shhq-hs", "worker", f"tcp://127.0.0.1:{port}", "--workers", "1", "--gpus", "0"),
    ):  # fmt: skip
        drive = [sys.executable, "-c", DRIVER, str(photos), str(tmp_path / "out"), f"tcp://127.0.0.1:{port}", "1"]
        subprocess.run(
            drive, env=os.environ | {"TEST_HOST": "x", "TEST_PAUSE_S": "0"}, cwd=ROOT, check=True, timeout=120
        )
        with urllib.request.urlopen(f"http://127.0.0.1:{pages}/metrics", timeout=10) as answer:
            metrics = answer.read().decode()
    assert "dask_scheduler_workers{" in metrics
    done = [line for line in metrics.splitlines() if line.startswith("dask_scheduler_prefix_state_totals_total")]
    assert any('task_prefix_name="brightness"' in line and 'state="memory"' in line for line in done), done
