"""What people read of a plan: what would run, why, and about how long it and how much disk it takes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dataprep.files.locations import Location
from pipelines.commands.reviewing import review_effects
from pipelines.engine.cost.estimate import Estimate
from pipelines.engine.plan import Plan
from pipelines.engine.progress import clock
from pipelines.json_output import print_json
from pipelines.text_table import table

_MB = 1e6


def print_plan(plan: Plan, cost: Estimate, workers: int, out: Location) -> None:
    """Per stage: parts, how many must run, the time of one core, and why; then all of it."""
    rows: list[Sequence[object]] = [
        (s.name, s.parts, len(s.todo), s.rows_todo, clock(one.core_s) if s.todo else "-", s.reason or "up to date")
        for s, one in zip(plan.stages, cost.stages, strict=True)
    ]
    rows += [(name, 1, int(bool(reason)), "-", "-", reason or "up to date") for name, reason in plan.aggregates.items()]
    print(table(("stage", "parts", "to run", "images", "core time", "why"), rows))
    for line in review_effects.lines(plan.outputs.store.root, plan.decisions):
        print(line)
    if not plan.is_empty:
        print()
        print(*_in_all(cost, workers, out), sep="\n")


def _in_all(cost: Estimate, workers: int, out: Location) -> list[str]:
    who = f"{workers} workers" if workers > 1 else "1 worker"
    how = "as earlier runs of this data set took" if cost.measured else "assumed from sample builds; a run measures"
    lines = [f"about {clock(cost.seconds(workers))} with {who} on CPUs, {clock(cost.core_s)} of one core ({how})"]
    free = _free_bytes(out)
    room = f" of {_size(free)} free" if free is not None else ""
    lines.append(f"about {_size(cost.disk_bytes)} of disk{room}")
    if free is not None and free < cost.disk_bytes:
        lines.append("That does not fit: choose another --out, or free some space.")
    return lines


def print_plan_json(plan: Plan, cost: Estimate, workers: int, out: Location) -> None:
    """Print the same for programs."""
    stages: list[dict[str, Any]] = [
        {
            "stage": s.name, "parts": s.parts, "to_run": len(s.todo), "images": s.rows_todo, "why": s.reason,
            "core_s": round(one.core_s, 1), "disk_bytes": round(one.disk_bytes), "measured": one.measured,
        }
        for s, one in zip(plan.stages, cost.stages, strict=True)
    ]  # fmt: skip
    outputs = [
        {"stage": name, "parts": 1, "to_run": int(bool(why)), "why": why} for name, why in plan.aggregates.items()
    ]
    print_json({
        "out": out, "up_to_date": plan.is_empty, "stages": stages + outputs, "workers": workers,
        "seconds": round(cost.seconds(workers), 1), "core_s": round(cost.core_s, 1),
        "disk_bytes": round(cost.disk_bytes), "free_bytes": _free_bytes(out), "measured": cost.measured,
        "marks": list(review_effects.lines(plan.outputs.store.root, plan.decisions)),
    })  # fmt: skip


def _free_bytes(out: Location) -> int | None:
    """Room where the data set would lie; None on an object store, which has no end."""
    if not isinstance(out, Path):
        return None
    return shutil.disk_usage(next(path for path in (out, *out.parents) if path.is_dir())).free


def _size(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / _MB:,.0f} MB"
