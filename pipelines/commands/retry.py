"""`shhq-hs retry`: forget the parts that hold chosen rows, so that the next run computes them again.

What was lost before the first stage is asked for again, too: downloads that failed, videos that could not be read.

Parts are rewritten whole; rows that were ok come out the same. What was made from these parts goes too, the deepest
stage first: killed half way, nothing is left that was made from a row which is computed again.
"""

from __future__ import annotations

from collections.abc import Iterable

from dataprep.files.locations import Location, matching
from dataprep.inputs.fetched import FetchedFiles
from dataprep.tables.input_rows import CLIPS_FOLDER
from dataprep.tables.store import Store
from pipelines.commands.errors import LostImage, choose, losses
from pipelines.engine.index import read_index
from pipelines.engine.last_run import current_stages, downstream
from pipelines.engine.ledger import forget_parts
from pipelines.engine.lock import run_lock
from pipelines.engine.resume import command_of


def retry(out: Location, stage: str, status: str, reason: str) -> int:
    """Print what will run again; returns 1 when no row matches."""
    read_index(out)  # before the lock makes a folder where no data set is
    with run_lock(out):
        rows = forget(Store(out), stage, status, reason)
    if not rows:
        print(f"no rows with these statuses and reasons; shhq-hs errors {out} lists what there is")
        return 1
    for name, (images, parts) in rows.items():
        print(f"{name}: {images} image{'s' * (images > 1)} in {parts} part{'s' * (parts > 1)} will be computed again")
    print(f"now run: {command_of(out)}")
    return 0


def forget(store: Store, stage: str, status: str, reason: str) -> dict[str, tuple[int, int]]:
    """Remove the parts of chosen rows and what follows from them; returns stage -> (matching rows, parts)."""
    stages = current_stages(store)
    doomed: dict[str, set[int]] = {name: set() for name in stages}
    summary: dict[str, tuple[int, int]] = {}
    by_stage: dict[str, list[int]] = {}
    lost = list(losses(store, read_index(store.root), stages, choose(stage, status, reason, stages)))
    for loss in lost:
        by_stage.setdefault(loss.stage, []).append(loss.part)
    for name, parts in by_stage.items():
        summary[name] = (len(parts), len(set(parts)))
        for affected in downstream(stages, name):
            doomed[affected] |= set(parts)
    if summary:
        (store.root / "runs" / "hashes.parquet").unlink(missing_ok=True)  # a file may have changed behind its date
        for record in matching(store.root / "stages", "*/done.json"):
            record.unlink()
    _ask_again(store.root, lost)
    for name in reversed(stages):
        forget_parts(store, stages[name].ref, doomed[name])
        for part in sorted(doomed[name]):
            store.remove_part(stages[name].ref, part)
    return summary


def _ask_again(out: Location, lost: Iterable[LostImage]) -> None:
    """Forget why inputs were refused that are no photographs yet."""
    by_reason: dict[str, list[LostImage]] = {}
    for loss in lost:
        by_reason.setdefault(loss.reason, []).append(loss)
    if failed := by_reason.get("not_fetched"):
        FetchedFiles(out).ask_again(loss.source.path for loss in failed)
    for loss in by_reason.get("no_video", ()):
        for plan in matching(out / CLIPS_FOLDER, f"{(loss.source.sha256 or b'-').hex()[:32]}-*/clip.json"):
            plan.unlink(missing_ok=True)
