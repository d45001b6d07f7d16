"""The first accepted portrait of a new data set, as a picture to look at while the rest is made."""

from __future__ import annotations

from dataprep.errors import StoreError
from dataprep.files.locations import Location
from dataprep.tables.manifest_files import has_manifest
from dataprep.tables.store import StageRef, Store, atomic_file
from pipelines.engine.dag import Dag
from pipelines.engine.event_log import EventLog
from pipelines.engine.task import PartReport

_BLOB = "portrait.png"


class FirstPortrait:
    """Waits for the first row that all stages accept, and puts its portrait beside the run's log, once.

    Nothing is put where the data set was built before, or where no stage makes portraits.
    """

    def __init__(self, store: Store, dag: Dag, log: EventLog) -> None:
        self._store, self._folder = store, log.folder
        maker = next((stage.name for stage in dag.stages if _BLOB in stage.blobs), None)
        built = has_manifest(store.root)
        self._maker: StageRef | None = None if built or maker is None else dag.refs[maker]
        self._last = dag.refs[dag.stages[-1].name] if dag.stages else None

    def found_in(self, outcome: PartReport) -> Location | None:
        """Return the path of the picture, when a part of the last stage brought the first accepted row; else None."""
        last, maker = self._last, self._maker
        if maker is None or last is None or outcome.stage != last.name or not outcome.counts.get("ok"):
            return None
        self._maker = None
        path = self._folder / "first-portrait.png"
        try:
            accepted = next(row for row in self._store.rows(last, outcome.part) if row["status"] == "ok")["sample_id"]
            row = next(row for row in self._store.rows(maker, outcome.part) if row["sample_id"] == accepted)
            data = self._store.blob_reader(maker, outcome.part, row)(_BLOB)
            with atomic_file(path) as file:
                file.write(data)
        except StoreError:  # damage, or a full disk: the run itself will meet it, and say so
            return None
        return path
