"""One measured run in a process of its own; the last line of stdout is its numbers as JSON.

python -m tools.scale.once {bare,replayed,small,x4plus} SOURCE OUT --workers {serial,N} [--donor OUT]
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pipelines.main  # noqa: F401 - the environment that `shhq-hs run` sets before pyarrow is imported
from pipelines import paper_stages
from pipelines.engine.dag import Dag
from pipelines.engine.run import run
from pipelines.executors.chosen_executor import make_executor


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("bare", "replayed", "small", "x4plus"))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--workers", default="2")
    parser.add_argument("--donor", type=Path, default=Path())
    options = parser.parse_args(arguments)
    serial = options.workers == "serial"
    dag = load(options.kind, options.donor)
    ticks = time.process_time()
    with make_executor("serial" if serial else "local", "auto" if serial else options.workers) as executor:
        started = time.perf_counter()
        summary = run(options.source, options.out, dag, executor)
        seconds = time.perf_counter() - started
    if summary.failed or summary.stopped:
        print(f"the run did not finish: {summary.failed or summary.stopped}", file=sys.stderr)
        return 1
    driver_cpu_seconds = time.process_time() - ticks
    content = _numbers(options.out, seconds, driver_cpu_seconds)
    print(json.dumps(content | {"kind": options.kind, "workers": options.workers}))
    return 0


def load(kind: str, donor: Path) -> Dag:
    """Import and make the pipeline that is measured, and nothing of another kind: its memory counts, too."""
    if kind in ("bare", "replayed"):
        from tools.scale.standin_stages import bare, replayed

        return bare() if kind == "bare" else replayed(donor)
    network = "x4plus" if kind == "x4plus" else "span"
    return paper_stages.build([f"superres.model={network}", "manifest.keep_near_duplicates=true"])  # 37 people, varied


def _numbers(out: Path, seconds: float, driver_cpu_seconds: float) -> dict[str, Any]:
    """Times, memory (MiB) and output of the run that just ended; workers are reaped, so their time counts."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_seconds = driver_cpu_seconds + children.ru_utime + children.ru_stime
    log = max(out.glob("runs/*/events.jsonl"))
    events = [json.loads(line) for line in log.read_text().splitlines()]
    parts = [event for event in events if event["event"] == "part"]
    pieces = sum(sum(event["counts"].values()) for event in parts)
    map_seconds = (_time(parts[-1]) - _time(events[0])).total_seconds() if parts else 0.0
    files = [path for path in out.rglob("*") if path.is_file() and "runs" not in path.relative_to(out).parts]
    return {
        "rows": pieces // len(paper_stages.MAP_STAGES),
        "accepted": _accepted(events),
        "seconds": seconds,
        "map_seconds": map_seconds,
        "us_per_item_and_stage": 1e6 * map_seconds / max(1, pieces),
        "cpu_seconds": cpu_seconds,
        "driver_cpu_seconds": driver_cpu_seconds,
        "cpu_us_per_item_and_stage": 1e6 * cpu_seconds / max(1, pieces),
        "driver_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "worker_mib": children.ru_maxrss / 1024,
        "bytes": sum(path.stat().st_size for path in files),
        "files": len(files),
    }


def _time(event: dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromisoformat(event["time"])


def _accepted(events: Sequence[dict[str, Any]]) -> int:
    """Samples that the run's manifest selected."""
    return next(
        (e["counts"].get("selected", 0) for e in events if e["event"] == "aggregate" and e["stage"] == "manifest"), 0
    )


if __name__ == "__main__":
    sys.exit(main())
