"""Aggregates of a large data set (`tools.scale.replayed_parts` makes one), step by step; a line of JSON each.

python -m tools.scale.aggregates_alone OUT ROWS [--only manifest,shards,report] [--workers 2]
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pipelines.main  # noqa: F401 - the environment that `shhq-hs run` sets before pyarrow is imported
from pipelines import paper_stages
from pipelines.engine.aggregates import ExecutorWorkers
from pipelines.executors.chosen_executor import make_executor
from pipelines.machine.stopping import StopRequest
from tools.scale.replayed_parts import view_of


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("rows", type=int)
    parser.add_argument("--only", default="manifest,shards,report")
    parser.add_argument("--workers", default="2", help="a number, or serial")
    options = parser.parse_args(arguments)
    dag = paper_stages.build(["superres.model=span"])
    view = view_of(options.out, dag, options.rows)
    for aggregate in dag.aggregates:
        if aggregate.name in options.only.split(","):
            serial = options.workers == "serial"
            with make_executor("serial" if serial else "local", "auto" if serial else options.workers) as executor:
                workers = ExecutorWorkers(executor, aggregate.name, StopRequest("", patient=True))
                started_s, used_s = time.perf_counter(), time.process_time()
                counts = aggregate.build_by(workers, view, options.out)
                seconds = time.perf_counter() - started_s
            children = resource.getrusage(resource.RUSAGE_CHILDREN)
            print(json.dumps({
                "aggregate": aggregate.name, "rows": options.rows, "workers": options.workers,
                "seconds": round(seconds, 1), "us_per_row": round(1e6 * seconds / options.rows, 1),
                "driver_cpu_seconds": round(time.process_time() - used_s, 1),
                "workers_cpu_seconds_so_far": round(children.ru_utime + children.ru_stime, 1),
                "driver_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
                "worker_mib": round(children.ru_maxrss / 1024), "steps": workers.steps,
                "memory_mib": {step: round(mib) for step, mib in workers.memory_mib.items()}, "counts": counts,
            }), flush=True)  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
