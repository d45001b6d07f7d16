"""`shhq-hs retry`: forget the parts that hold chosen rows, so that the next run computes them again.

Downloads that failed for good, or came with another sha256 than a list says, are forgotten, too: the next run asks
again.
Parts are rewritten whole; rows that were ok come out the same. What was made from these parts goes too, the deepest
stage first: killed half way, nothing is left that was made from a row which is computed again.
"""

from __future__ import annotations

from dataprep.errors import WrongHash
from dataprep.files.locations import Location, matching
from dataprep.inputs.fetched import FetchedFiles
from dataprep.inputs.fetching import NOT_FETCHED
from dataprep.stages.ingest import Ingest
from dataprep.tables.input_rows import ARCHIVES_FOLDER, CLIPS_FOLDER
from dataprep.tables.store import Store
from pipelines.commands.errors import Choice, choose, losses
from pipelines.engine.index import read_index
from pipelines.engine.last_run import current_stages, downstream
from pipelines.engine.ledger import forget_parts
from pipelines.engine.lock import run_lock
from pipelines.engine.resume import command_of

_OF_DOWNLOADS = frozenset({NOT_FETCHED, WrongHash.reason})


def retry(out: Location, stage: str, status: str, reason: str) -> int:
    """Print what will run again; returns 1 when no row matches."""
    read_index(out)  # before the lock makes a folder where no data set is
    with run_lock(out):
        store = Store(out)
        choice = choose(stage, status, reason, current_stages(store))
        urls = forget_downloads(out, choice)
        rows = forget(store, stage, status, reason)
    if not rows and not urls:
        print(f"no rows with these statuses and reasons; shhq-hs errors {out} lists what there is")
        return 1
    for name, (images, parts) in rows.items():
        print(f"{name}: {images} image{'s' * (images > 1)} in {parts} part{'s' * (parts > 1)} will be computed again")
    if urls:
        print(f"downloads: {urls} URL{'s' * (urls > 1)} will be asked for again")
    print(f"now run: {command_of(out)}")
    return 0


def forget_downloads(out: Location, choice: Choice) -> int:
    """Forget the downloads that came to nothing, unless other stages or reasons are meant; returns how many.

    Their rows are rejected, or errors: whatever `choice` says of statuses, a server that answers differently tomorrow
    is what a retry is for.
    """
    if choice.stages and Ingest.name not in choice.stages:
        return 0
    reasons = _OF_DOWNLOADS & choice.reasons if choice.reasons else _OF_DOWNLOADS
    urls = [one.path for one in read_index(out)
            if one.url == one.path and one.refused and one.refused.partition(":")[0] in reasons]  # fmt: skip
    if urls:
        FetchedFiles(out).forget(urls)
    return len(urls)


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
        for record in matching(store.root / ARCHIVES_FOLDER, "*.parquet"):
            record.unlink()
        for record in matching(store.root / "stages", "*/done.json"):
            record.unlink()
    for loss in (one for one in lost if one.reason == "no_video"):
        for plan in matching(store.root / CLIPS_FOLDER, f"{(loss.source.sha256 or b'-').hex()[:32]}-*/clip.json"):
            plan.unlink(missing_ok=True)  # a decoder may have been installed since
    for name in reversed(stages):
        forget_parts(store, stages[name].ref, doomed[name])
        for part in sorted(doomed[name]):
            store.remove_part(stages[name].ref, part)
    return summary
