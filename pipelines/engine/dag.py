"""DAGs of stages and their fingerprints.

A fingerprint is the hash of a stage's name, version, parameters, columns, weights and the fingerprints upstream, so a
changed parameter reruns that stage and those below it, and nothing else (docs/architecture.md, Fingerprints).
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dataprep.stages.aggregate import Aggregate
from dataprep.stages.base import EVERY_STAGE, Stage, Step
from dataprep.tables.columns import unique_names
from dataprep.tables.store import StageRef


@dataclass(frozen=True)
class Dag:
    """Configured stages with their references, in order."""

    stages: tuple[Stage, ...]
    aggregates: tuple[Aggregate, ...]
    refs: Mapping[str, StageRef]

    @property
    def steps(self) -> tuple[Step, ...]:
        return (*self.stages, *self.aggregates)

    def requires(self, step: Step) -> tuple[str, ...]:
        """Names of the steps that a step reads."""
        return _requires(step, self.stages)

    def upstream(self, step: Step) -> tuple[StageRef, ...]:
        return tuple(self.refs[name] for name in self.requires(step))

    def until(self, name: str) -> Dag:
        """The DAG up to and including stage `name`."""
        names = [step.name for step in self.steps]
        wanted = names[: names.index(name) + 1]
        stages = tuple(stage for stage in self.stages if stage.name in wanted)
        return Dag(stages, tuple(a for a in self.aggregates if a.name in wanted), self.refs)


def assemble(stages: tuple[Stage, ...], aggregates: tuple[Aggregate, ...]) -> Dag:
    """A DAG of any stages whose requirements precede them; raises ValueError when two add a column of one name."""
    refs: dict[str, StageRef] = {}
    unique_names(column for stage in stages for column in stage.columns)
    steps: tuple[Step, ...] = (*stages, *aggregates)
    for stage in steps:
        upstream = [refs[name].fingerprint for name in _requires(stage, stages)]
        refs[stage.name] = StageRef(stage.name, fingerprint(stage, upstream))
    return Dag(stages, aggregates, refs)


def _requires(step: Step, stages: tuple[Stage, ...]) -> tuple[str, ...]:
    return tuple(stage.name for stage in stages) if step.requires == EVERY_STAGE else step.requires


def describe(stage: Step) -> dict[str, Any]:
    """What defines a stage's output besides its inputs, as plain JSON values."""
    return {
        "name": stage.name,
        "version": stage.version,
        "params": {f.name: getattr(stage, f.name) for f in dataclasses.fields(stage)},
        "columns": [[c.name, str(c.type), list(c.shape)] for c in stage.columns],
        "weights": [[weight.name, weight.sha256] for weight in stage.weights()],
    }


def record_of(dag: Dag, stage: Step) -> dict[str, Any]:
    """What stands in a stage's stage.json: itself and the fingerprints upstream."""
    return {"stage": describe(stage), "upstream": {name: dag.refs[name].fingerprint for name in dag.requires(stage)}}


def fingerprint(stage: Step, upstream: list[str]) -> str:
    """16 hex digits over `describe` and the fingerprints upstream."""
    content = json.dumps([describe(stage), upstream], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
