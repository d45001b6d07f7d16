"""`pipelines.run(...)`: what `shhq-hs run` does, from Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataprep.errors import ShhqError
from dataprep.files.locations import Location, location
from dataprep.labelled_samples import DataSet, open_dataset
from dataprep.tables.manifest_files import peek_manifest
from pipelines import config_file
from pipelines.commands.build_dataset import bring_up_to_date
from pipelines.main import make_parser


@dataclass(frozen=True)
class Built:
    """What a run left: where, how many images of each status (`accepted`, `rejected`, `error`, ...), in what time.

    `counts` is empty where `until` ended before the manifest.
    """

    out: Location
    counts: Mapping[str, int]
    seconds: float

    def open(self, split: str | None = None, include_rejected: bool = False) -> DataSet:
        """Open the data set's accepted samples, as `dataprep.open_dataset` does."""
        return open_dataset(self.out, split=split, include_rejected=include_rejected)


def run(
    source: str | Path,
    out: str | Path,
    settings: Mapping[str, Any] | None = None,
    *,
    workers: int | str = "auto",
    cluster: str = "local",
    until: str | None = None,
    config: str | Path | None = None,
) -> Built:
    """Build the data set of the photographs in `source`, or bring the one in `out` up to date.

    `settings`: parameters of stages, such as `{"superres.model": "span"}`; the others are options of `shhq-hs run`. The
    same folder results, byte by byte. Stopped at any point, the same call goes on. Raises ShhqError where the command
    would end with a message, KeyboardInterrupt where somebody interrupted it.
    """
    words = ["run", str(source), "--out", str(out), "--workers", str(workers), "--cluster", cluster]
    words += ["--until", until] if until else []
    words += ["--config", str(config)] if config else []
    for name, value in (settings or {}).items():
        words += ["--set", f"{name}={_text(value)}"]
    options = config_file.parse(make_parser(), words)
    options.arguments = words
    dag, outcome = bring_up_to_date(options)
    if outcome.interrupted:
        raise KeyboardInterrupt
    if outcome.stopped or outcome.failed:
        raise ShhqError(f"{out}: {outcome.stopped or '; '.join(outcome.failed[:3])}; call run again to go on")
    where = location(str(out))
    has_manifest = "manifest" in {aggregate.name for aggregate in dag.aggregates}
    return Built(where, _counts(where) if has_manifest else {}, outcome.seconds)


def _counts(out: Location) -> dict[str, int]:
    """Return how many inputs have which status; `accepted` in the place of the manifest's `ok`."""
    counts = Counter(peek_manifest(out, ["status"])["status"].to_pylist())
    return {"accepted": counts.pop("ok", 0), **counts}


def _text(value: Any) -> str:
    """Return a value as `--set` takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
