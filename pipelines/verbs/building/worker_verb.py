"""`shhq-hs worker`: let this machine work for a dask scheduler (docs/clusters.md)."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("cluster", metavar="SCHEDULER", help="tls://host:port, tcp://host:port or file:scheduler.json")
    add("--workers", default="auto", help="processes: a number, or auto = one per core (default)")
    add("--gpus", type=int, metavar="N", help="how many of them own a GPU (default: all GPUs here)")


def _load() -> Run:
    from pipelines.executors.chosen_executor import worker_count
    from pipelines.executors.dask_workers import join

    return lambda options: join(options.cluster, worker_count(options.workers), options.gpus)


VERB = Verb("worker", "let this machine work for a dask scheduler (docs/clusters.md)", _arguments, _load)
