"""What the data set cost: seconds by stage, from the event logs of its runs.

The only numbers of the report that depend on the machine: they have files of their own, `timing.json` and
`timing.html`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dataprep.files.locations import Location, matching


@dataclass(frozen=True)
class StageTime:
    """One stage over the whole data set. Seconds are of the worker processes, added up."""

    stage: str
    parts: int
    images: int  # that reached the stage
    seconds: float
    milliseconds_per_image: float
    memory_mib: int  # the largest of any worker after a part


def timings(root: Location, stages: Sequence[str]) -> tuple[StageTime, ...]:
    """Each part counts once, with its latest run; stages without a log are left out."""
    latest: dict[tuple[str, int], Mapping[str, Any]] = {}
    for path in matching(root, "runs/*/events*.jsonl"):  # run folders begin with their time
        with path.open(errors="replace") as file:
            for line in file:
                if '"event": "part"' in line and (event := _event(line)):
                    latest[event["stage"], event["part"]] = event
    found = []
    for stage in stages:
        events = [event for (name, _), event in latest.items() if name == stage]
        if events:
            found.append(_stage_time(stage, events))
    return tuple(found)


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:  # the last line of a run that was killed
        return None
    return event if {"stage", "part", "seconds", "counts"} <= event.keys() else None


def _stage_time(stage: str, events: Sequence[Mapping[str, Any]]) -> StageTime:
    images = sum(count for event in events for status, count in event["counts"].items() if status != "upstream")
    seconds = sum(float(event["seconds"]) for event in events)
    memory = max(int(event.get("memory_mib", 0)) for event in events)
    return StageTime(stage, len(events), images, round(seconds, 1), round(1000 * seconds / max(images, 1), 1), memory)
