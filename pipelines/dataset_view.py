"""What an aggregate may read of a data set on disk, without running anything."""

from __future__ import annotations

from dataprep.files.locations import Location
from dataprep.stages.aggregate import DatasetView
from dataprep.tables.store import Store
from pipelines.engine.index import read_index
from pipelines.engine.last_run import current_stages
from pipelines.engine.plan import parts_of
from pipelines.paper_stages import MAP_STAGES


def open_view(out: Location) -> DatasetView:
    """The stages of the last run in `out`, with default parameters; StoreError when no run has begun there."""
    store = Store(out)
    refs = {name: stage.ref for name, stage in current_stages(store).items()}
    return DatasetView(store, {stage.name: stage() for stage in MAP_STAGES}, refs, tuple(parts_of(read_index(out))))
