"""Ask Slurm for workers while there is work, and give them back when there is none.

    pip install dask-jobqueue
    python slurm_workers.py --scheduler-file /data/scheduler.json --cores 16 --memory 64GB --most-jobs 20
    shhq-hs run /data/people --out /data/out --cluster file:/data/scheduler.json

Keep the first command running where `sbatch` works; Ctrl-C ends scheduler and jobs. `--print` shows the job script and
submits nothing. Every job ends itself a little before its time is over, one after the other, and hands its parts on.
Scheduler and workers encrypt what they say where dask's settings ask for it (docs/clusters.md, TLS).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dask
from dask_jobqueue import SLURMCluster
from dask_jobqueue.core import JobQueueCluster
from distributed.security import Security

from pipelines.executors.worker_process import WORKER_ENVIRONMENT

# Workers keep what they hold in memory, and an image that ends its process twice is looked for at once.
SETTINGS = {
    "DASK_DISTRIBUTED__WORKER__MEMORY__TARGET": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__SPILL": "False",
    "DASK_DISTRIBUTED__WORKER__MEMORY__PAUSE": "False",
    "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
}
SPARE_S = 300  # before a job's time is over, its workers begin to end
STAGGER_S = 120


def cluster_of(kind: type[JobQueueCluster], options: argparse.Namespace, more: Mapping[str, Any]) -> JobQueueCluster:
    """Return a cluster of jobs, none of which has been asked for yet; `more` is what this kind of queue takes."""
    dask.config.set({"distributed.scheduler.allowed-failures": 0})
    encrypted = bool(dask.config.get("distributed.comm.require-encryption", False))
    lifetime_s = seconds(options.walltime) - SPARE_S
    if lifetime_s <= STAGGER_S:
        raise SystemExit(f"--walltime {options.walltime}: expected more than {(SPARE_S + STAGGER_S) // 60} minutes")
    return kind(
        cores=options.cores,
        processes=options.cores,
        memory=options.memory,
        protocol="tls://" if encrypted else "tcp://",
        security=Security() if encrypted else None,
        scheduler_options={"port": options.port, "dashboard": False},
        worker_extra_args=[
            *("--lifetime", f"{lifetime_s}s", "--lifetime-stagger", f"{STAGGER_S}s", "--no-dashboard"),
            *(("--resources", "GPU=1") if options.gpu else ()),
        ],
        job_script_prologue=[f"export {name}={value}" for name, value in {**WORKER_ENVIRONMENT, **SETTINGS}.items()],
        local_directory=options.local_directory,
        **more,
    )


def slurm_cluster(options: argparse.Namespace) -> JobQueueCluster:
    """Return a cluster of Slurm jobs."""
    directives = ["--requeue", *(["--gres=gpu:1"] if options.gpu else [])]
    more = {"walltime": options.walltime, "queue": options.partition, "job_extra_directives": directives}
    return cluster_of(SLURMCluster, options, more)


def seconds(walltime: str) -> int:
    """Return the seconds of HH:MM:SS or D-HH:MM:SS."""
    days, _, clock = walltime.rpartition("-")
    hours, minutes, rest = (int(part) for part in clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + rest


def serve(cluster: JobQueueCluster, options: argparse.Namespace) -> None:
    """Write the scheduler's file, and ask for jobs while there is work, until Ctrl-C."""
    path = Path(options.scheduler_file)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps({"address": cluster.scheduler_address}))
    os.replace(partial, path)
    # Jobs start slowly: one that has just nothing to do is kept for half a minute.
    cluster.adapt(minimum_jobs=options.least_jobs, maximum_jobs=options.most_jobs, interval="3s", wait_count=10)
    print(f"scheduler {cluster.scheduler_address}; shhq-hs run ... --cluster file:{path}", flush=True)
    signal.sigwait({signal.SIGINT, signal.SIGTERM})


def parser() -> argparse.ArgumentParser:
    """Return the options that every kind of queue has."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--scheduler-file", default="scheduler.json", help="where all machines see it")
    options.add_argument("--cores", type=int, default=16, help="cores of a job, a worker process each")
    options.add_argument("--memory", default="64GB", help="memory of a job")
    options.add_argument("--walltime", default="04:00:00", help="HH:MM:SS that a job may last")
    options.add_argument("--partition", help="Slurm's partition")
    options.add_argument("--gpu", action="store_true", help="jobs of one GPU and one worker process")
    options.add_argument("--least-jobs", type=int, default=1)
    options.add_argument("--most-jobs", type=int, default=20)
    options.add_argument("--port", type=int, default=8786, help="of the scheduler")
    options.add_argument("--local-directory", help="a folder of your own on the workers' disk, for dask's files")
    options.add_argument("--print", action="store_true", help="show the job script and end")
    return options


def main() -> int:
    options = parser().parse_args()
    if options.gpu:
        options.cores = 1
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with slurm_cluster(options) as cluster:
        if options.print:
            print(cluster.job_script())
        else:
            serve(cluster, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
