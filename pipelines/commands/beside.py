"""What a run says of the files beside the photographs: supplied masks, and what was not read at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dataprep.files.locations import each
from dataprep.tables.sources import Source
from dataprep.tables.store import StageRef, Store
from pipelines.engine.index import read_beside

_MASK_REASONS = {"mask_mismatch", "mask_undecodable"}
_COLUMNS = ["reason", "mask_supplied", "mask_refused"]


def lines(store: Store, index: Sequence[Source], detect: StageRef | None) -> Iterator[str]:
    """One line on masks where there are any, one on files that are no photographs; `detect` is None before it ran."""
    unused, ignored = read_beside(store.root)
    n_supplied = sum(source.mask_path is not None for source in index)
    if n_supplied or unused:
        parts = sorted({source.part for source in index})
        yield _masks(n_supplied, len(unused), *(_used_and_refused(store, detect, parts) if detect else (0, 0)))
    if ignored:
        listed = ", ".join(f"{count} {suffix or 'without a suffix'}" for suffix, count in ignored.items())
        yield f"not read, by suffix: {listed}"


def _masks(n_supplied: int, n_without_photograph: int, used: int, refused: int) -> str:
    found = n_supplied + n_without_photograph
    left = {
        "belong to no photograph": n_without_photograph,
        "of photographs that were lost before": n_supplied - used - refused,
    }
    why = ", ".join(f"{count} {reason}" for reason, count in left.items() if count)
    return f"masks: {found} found, {used} used, {refused} refused, {sum(left.values())} left unused" + (
        f" ({why})" if why else ""
    )


def _used_and_refused(store: Store, detect: StageRef, parts: Sequence[int]) -> tuple[int, int]:
    committed = store.committed(detect)
    tables = each(
        store.root, lambda part: store.table(detect, part, _COLUMNS), [part for part in parts if part in committed]
    )
    used = refused = 0
    for table in tables:
        reasons, supplied, replaced = (table[name].to_pylist() for name in _COLUMNS)
        used += sum(map(bool, supplied))
        refused += sum(reason in _MASK_REASONS for reason in reasons) + sum(map(bool, replaced))
    return used, refused
