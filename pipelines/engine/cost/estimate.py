"""What the work of a plan will take: processor time and disk, from earlier runs of the data set where there are any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dataprep.errors import StoreError
from dataprep.files.untrusted import parse_json
from dataprep.report.timing import timings
from dataprep.stages.base import Stage
from dataprep.tables.store import StageRef, Store
from pipelines.engine.cost.assumed_costs import OUTPUTS_BYTES, assumed_bytes, assumed_output_s, assumed_s
from pipelines.engine.dag import Dag, describe
from pipelines.engine.last_run import current_stages
from pipelines.engine.plan import Plan, StagePlan


@dataclass(frozen=True)
class StageEstimate:
    """One stage's part of the work. `measured`: the seconds come from earlier runs of this data set."""

    name: str
    core_s: float
    disk_bytes: float
    measured: bool


@dataclass(frozen=True)
class Estimate:
    """What is left to do, by stage in order. Seconds are of one core of a CPU; a GPU takes less."""

    stages: tuple[StageEstimate, ...]
    outputs_s: float  # of manifest, shards and report, which one process makes
    outputs_bytes: float

    @property
    def core_s(self) -> float:
        return sum(stage.core_s for stage in self.stages) + self.outputs_s

    @property
    def disk_bytes(self) -> float:
        return sum(stage.disk_bytes for stage in self.stages) + self.outputs_bytes

    @property
    def measured(self) -> bool:
        """Whether most of the time was measured on this data set."""
        return sum(stage.core_s for stage in self.stages if stage.measured) > 0.5 * self.core_s

    def seconds(self, workers: int) -> float:
        """By the clock, with so many workers that have a core each."""
        return (self.core_s - self.outputs_s) / workers + self.outputs_s


def known_s(store: Store, dag: Dag) -> dict[str, float]:
    """Return seconds of one core a photograph by stage: as earlier runs took, else as is assumed."""
    return assumed_s(dag.stages) | measured_s(store, dag)


def measured_s(store: Store, dag: Dag) -> dict[str, float]:
    """Return seconds a photograph of the stages that the last run had with the same parameters; {} where none ran.

    Only estimates stand on it: a log or a record that cannot be read is none.
    """
    try:
        ran = current_stages(store)
        stages = [
            stage.name for stage in dag.stages if stage.name in ran and _is_same(store, ran[stage.name].ref, stage)
        ]
        return {
            one.stage: one.seconds / one.images for one in timings(store.root, stages) if one.images and one.seconds
        }
    except (StoreError, OSError, ValueError, KeyError, TypeError):
        return {}


def _is_same(store: Store, ref: StageRef, stage: Stage) -> bool:
    """Whether a stage that ran had this version and these parameters."""
    try:
        then, now = parse_json((store.folder(ref) / "stage.json").read_text())["stage"], describe(stage)
        return all(then[key] == now[key] for key in ("version", "params"))
    except (OSError, ValueError, KeyError, TypeError):
        return False


def estimate(store: Store, dag: Dag, plan: Plan) -> Estimate:
    """What the plan's work will take; rows that an earlier stage loses cost nothing later, and are not foreseen."""
    measured = measured_s(store, dag)
    cost_s = assumed_s(dag.stages) | measured
    stages = tuple(
        StageEstimate(
            one.name,
            one.rows_todo * cost_s.get(one.name, 0.0),
            one.rows_todo * _bytes_a_row(one, plan),
            one.name in measured,
        )
        for one in plan.stages
    )
    outputs = outputs_s(plan)
    return Estimate(stages, sum(outputs.values()), _rows(plan) * _outputs_bytes(outputs))


def outputs_s(plan: Plan) -> dict[str, float]:
    """Return seconds of one core by output that is out of date, as is assumed."""
    due = (name for name, reason in plan.aggregates.items() if reason)
    return {name: assumed_output_s(name, _rows(plan)) for name in due}


def _rows(plan: Plan) -> int:
    return sum(map(len, plan.parts.values()))


def _bytes_a_row(stage: StagePlan, plan: Plan) -> float:
    """Of the parts that lie there, else as is assumed."""
    records = [(record, plan.parts[part]) for part, record in stage.look.whole.items() if part in plan.parts]
    rows = sum(len(sources) for _, sources in records)
    if not rows:
        return assumed_bytes(stage.name)
    return sum(record.parquet_bytes + (record.tar_bytes or 0) for record, _ in records) / rows


def _outputs_bytes(due: Iterable[str]) -> float:
    known: Mapping[str, float] = OUTPUTS_BYTES
    return sum(known.get(name, 0.0) for name in due)
