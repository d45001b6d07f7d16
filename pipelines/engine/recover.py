"""The inputs of a data set whose index is lost, from its parts: each part's rows are its inputs, in their order.

Paths and hashes come from the photographs again; what only the index knew is which part an input belongs to.
"""

from __future__ import annotations

from dataprep.errors import StoreError
from dataprep.files.locations import Location, matching
from dataprep.files.untrusted import require_sample_ids
from dataprep.tables.parts import part_number
from dataprep.tables.sources import Source
from dataprep.tables.store import StageRef, Store


def has_parts(out: Location) -> bool:
    """Whether a run has committed parts below `out`."""
    return any(True for _ in matching(out / "stages", "*/part-*.parquet"))


def recovered_inputs(out: Location) -> list[Source]:
    """Ids and parts of the inputs, in (part, position) order; parts that no stage has whole are left out."""
    store = Store(out)
    found: dict[int, list[Source]] = {}
    for path in _newest_first(out):
        part = part_number(path.name)
        if part is None or part in found:
            continue
        name, _, fingerprint = path.parent.name.rpartition("-")
        try:
            ids = store.table(StageRef(name, fingerprint), part, ["sample_id"])["sample_id"].to_pylist()
            require_sample_ids(ids, path)
        except (StoreError, KeyError):
            continue
        found[part] = [Source("", 0, sample_id=sample_id, part=part) for sample_id in ids]
    return [source for _, rows in sorted(found.items()) for source in rows]


def _newest_first(out: Location) -> list[Location]:
    """Parts of all stages: those of an earlier, smaller data set have fewer rows than the ones written last."""
    paths = matching(out / "stages", "*/part-*.parquet")
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)
