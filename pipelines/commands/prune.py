"""`shhq-hs prune`: variants of stages that no longer serve, their size, and their end.

A changed parameter or another version of this program leaves the parts of the earlier variant where they are: going
back to it costs nothing then. Those of the last run, and those that the manifest was made from, serve.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from dataprep.files.locations import Location, ObjectPath, listing, names_in
from dataprep.files.untrusted import parse_json
from dataprep.tables.input_rows import ARCHIVES_FOLDER, CLIPS_FOLDER, Source
from dataprep.tables.manifest_files import manifest_metadata
from dataprep.tables.parts import part_number
from dataprep.tables.store import Store
from pipelines.engine.index import read_index
from pipelines.engine.last_run import current_stages
from pipelines.engine.lock import run_lock
from pipelines.engine.resume import command_of
from pipelines.text_table import table

_CLIP = re.compile(r"[0-9a-f]{32}-[0-9a-f]{16}")
_UNPACKED = re.compile(r"[0-9a-f]{32}\.tar")
_VARIANT = re.compile(r"[a-z0-9_]+-[0-9a-f]{16}")


class Variant(NamedTuple):
    """A folder of parts that no longer serves."""

    folder: Location
    parts: int
    size: int


def prune(out: Location, remove: bool) -> int:
    """Show what no longer serves; `remove` it. Returns 0. Raises StoreError when there is no data set."""
    index = read_index(out)  # before the lock makes a folder where no data set is
    with run_lock(out):
        found = unused(Store(out), index)
        if not found:
            print(f"nothing to prune: every variant of a stage in {out} serves")
            return 0
        rows = [(one.folder.name, one.parts, f"{one.size / 1e6:.1f}") for one in found]
        print(table(("variant", "parts", "MB"), rows))
        total = f"{len(found)} variant{'s' * (len(found) > 1)}, {sum(one.size for one in found) / 1e6:.1f} MB"
        if remove:
            for one in found:
                _remove(one.folder)
            print(f"{total}: removed")
        else:
            print(f"{total}, which the last run ({command_of(out)}) and the manifest do not use; going back to their "
                  f"parameters would compute them again.\nto remove them: shhq-hs prune {out} --yes")  # fmt: skip
    return 0


def unused(store: Store, index: Sequence[Source] = ()) -> list[Variant]:
    """Variants that neither the last run nor the manifest names, sorted by name; frames that `index` does not use."""
    serving = {stage.ref.folder for stage in current_stages(store).values()} | _in_manifest(store.root)
    folders = (store.root / "stages" / name for name in sorted(names_in(store.root / "stages")))
    variants = [folder for folder in folders if _VARIANT.fullmatch(folder.name) and folder.name not in serving]
    return [*(_variant(folder) for folder in (*variants, *_unused_clips(store.root, index))),
            *_unused_archives(store.root, index)]  # fmt: skip


def _unused_clips(out: Location, index: Sequence[Source]) -> list[Location]:
    """Folders of frames that no input lies in: taken at another rate, or of videos that are gone."""
    serving = {source.place.split("/")[-2] for source in index if source.place and source.clip}
    try:
        names = names_in(out / CLIPS_FOLDER)
    except FileNotFoundError:
        return []
    return [out / CLIPS_FOLDER / name for name in sorted(names) if _CLIP.fullmatch(name) and name not in serving]


def _unused_archives(out: Location, index: Sequence[Source]) -> list[Variant]:
    """Pictures unpacked from tables that have changed or gone since."""
    serving = {source.place.rpartition("/")[2] for source in index if source.place}
    folder = out / ARCHIVES_FOLDER
    return [Variant(folder / name, 0, size) for name, (size, _) in sorted(listing(folder).items())
            if _UNPACKED.fullmatch(name) and name not in serving]  # fmt: skip


def _in_manifest(out: Location) -> set[str]:
    stages = parse_json(manifest_metadata(out).get("stages", "{}"))
    return {f"{name}-{fingerprint}" for name, fingerprint in stages.items()}


def _variant(folder: Location) -> Variant:
    files = listing(folder)
    parts = sum(part_number(name) is not None for name in files)
    return Variant(folder, parts, sum(size for size, _ in files.values()))


def _remove(folder: Location) -> None:
    if folder.suffix == ".tar":
        folder.with_suffix(".parquet").unlink(missing_ok=True)
        folder.unlink(missing_ok=True)
    elif isinstance(folder, ObjectPath):
        for name, _ in list(folder.walk()):
            (folder / name).unlink(missing_ok=True)
    elif isinstance(folder, Path) and not folder.is_symlink():
        shutil.rmtree(folder)
