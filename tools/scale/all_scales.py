"""`make bench-scale`: what 40,000 images cost beside the models' own work, and what 1,000 real ones do.

    python -m tools.scale.all_scales [--rows 1000,10000,40000] [--people 1000] [--x4plus 50] [--json FILE]

Three parts. **bare**: twelve stages that do nothing. **replayed**: eight stages that write a finished data set's
columns again, around the real ingest, manifest, shards and report. **people**: varied shipped photographs through the
real stages. Every run is a process of its own, so that memory is its own; work goes to the local workers.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataprep.tables.store import write_json
from pipelines import paper_stages
from pipelines.engine.run import run
from pipelines.executors.chosen_executor import make_executor
from pipelines.text_table import table
from tools.scale.many_people import make_people
from tools.scale.small_photos import make_tiny_photos

_SMALL = ("superres.model=span",)
Measured = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="1000,10000,40000", help="sizes of the bare and replayed data sets")
    parser.add_argument("--people", type=int, default=1000, help="photographs through the real stages; 0: none")
    parser.add_argument("--x4plus", type=int, default=50, help="photographs through the large network; 0: none")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="shhq-scale-") as folder:
        content = measure(Path(folder), [int(n) for n in options.rows.split(",")], options.people, options.x4plus)
    if options.json:
        write_json(options.json, content)
    return 0


def measure(folder: Path, sizes: Sequence[int], people: int, x4plus: int) -> Measured:
    """All numbers; tables are printed as they come."""
    content: Measured = {"bare": [], "replayed": [], "people": []}
    donor = folder / "donor"
    with make_executor("local", "auto") as executor:
        run(Path("samples/people"), donor, paper_stages.build(_SMALL), executor)
    for kind in ("bare", "replayed"):
        for rows in sizes:
            photos = folder / f"photos-{rows}"
            if not photos.exists():
                make_tiny_photos(photos, rows)
            out = folder / f"{kind}-{rows}"
            first = _run_alone([kind, photos, out, "--workers", "2", "--donor", donor])
            again = _run_alone([kind, photos, out, "--workers", "serial", "--donor", donor])
            content[kind].append(first | {"nothing_to_do_s": again["seconds"]})
        print(_machinery_table(kind, content[kind]), flush=True)
    content["people"] = _real_runs(folder, people, x4plus)
    if content["people"]:
        print(_people_table(content["people"]), flush=True)
    return content


def _real_runs(folder: Path, people: int, x4plus: int) -> list[Measured]:
    """The real stages: with two workers and with one on as many photographs as are quick, then the large network."""
    found = []
    for kind, count, workers in (("small", people, 2), ("small", min(people, 200), 2), ("small", min(people, 200), 1),
                                 ("x4plus", x4plus, 2)):  # fmt: skip
        photos = folder / f"people-{count}"
        if count and not photos.exists():
            make_people(photos, count)
        if count:
            found.append(_run_alone([kind, photos, folder / f"{kind}-{count}-{workers}", "--workers", str(workers)]))
    return found


def _run_alone(arguments: Sequence[object]) -> Measured:
    command = [sys.executable, "-m", "tools.scale.once", *map(str, arguments)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    measured: Measured = json.loads(done.stdout.splitlines()[-1])
    return measured


def _machinery_table(kind: str, runs: Sequence[Measured]) -> str:
    rows = [
        (kind, m["rows"], f"{m['seconds']:.1f}", f"{m['map_seconds']:.1f}", f"{m['us_per_item_and_stage']:.0f}",
         f"{m['cpu_us_per_item_and_stage']:.0f}", f"{m['driver_mib']:.0f}", f"{m['worker_mib']:.0f}",
         f"{m['nothing_to_do_s']:.2f}", f"{m['bytes'] / 1e6:.1f}", m["files"])
        for m in runs
    ]  # fmt: skip
    head = ("stages", "rows", "s", "map stages s", "us/item/stage", "cpu us", "driver MiB", "largest worker MiB",
            "nothing to do s", "MB", "files")  # fmt: skip
    return table(head, rows)


def _people_table(runs: Sequence[Measured]) -> str:
    rows = [
        (m["kind"], m["rows"], m["workers"], f"{m['seconds']:.0f}", f"{m['rows'] / m['seconds']:.2f}",
         f"{m['cpu_seconds'] / m['rows']:.2f}", m["accepted"], f"{m['driver_mib']:.0f}", f"{m['worker_mib']:.0f}",
         f"{m['bytes'] / m['rows'] / 1e6:.2f}")
        for m in runs
    ]  # fmt: skip
    head = ("network", "photographs", "workers", "s", "images/s", "cpu s/image", "accepted", "driver MiB",
            "largest worker MiB", "MB/image")  # fmt: skip
    return table(head, rows)


if __name__ == "__main__":
    sys.exit(main())
