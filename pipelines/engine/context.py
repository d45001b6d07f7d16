"""What the passes of a run share."""

from __future__ import annotations

from dataclasses import dataclass

from dataprep.files.locations import Location
from dataprep.tables.store import Store
from pipelines.engine.budget import ErrorBudget
from pipelines.engine.dag import Dag
from pipelines.engine.event_log import EventLog
from pipelines.engine.repair import Repairs
from pipelines.machine.stopping import StopRequest


@dataclass(frozen=True)
class Context:
    """What a run's passes share."""

    store: Store
    source_root: Location
    dag: Dag
    log: EventLog
    stop: StopRequest
    budget: ErrorBudget
    repairs: Repairs
    limit_s: float | None  # processor seconds that an image may take; None: the stage's own limit
