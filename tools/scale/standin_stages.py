"""Stages whose bodies are stand-ins: what is left is the machinery's own cost.

`bare` stages write one number; `replayed` stages write every column of the real ones, taken from a row of a finished
data set (the donor) that the image's id chooses, and that row's pictures as thumbnails. Names, requirements and blobs
are those of the real stages, so that the DAG is the real one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from dataprep.files.locations import Location
from dataprep.models.face.likeness_file import FEATURES
from dataprep.pictures.codecs import decode_rgb, encode_png
from dataprep.stages.aggregate import Aggregate, DatasetView
from dataprep.stages.base import Item, Result, Stage, Step
from dataprep.stages.ingest import Ingest
from dataprep.tables.columns import FLOAT, Column
from pipelines.dataset_view import open_view
from pipelines.engine.dag import Dag, assemble
from pipelines.paper_stages import AGGREGATES, MAP_STAGES

THUMBNAIL_STEP = 8  # every eighth pixel of the donor's pictures


@dataclass(frozen=True)
class Bare(Stage):
    """Base: one number that depends on the id."""

    version: ClassVar[int] = 1

    def process_item(self, item: Item, tools: None) -> Result:
        return Result(columns={self.columns[0].name: int(item.sample_id[:6], 16) / 2**24})


@dataclass(frozen=True)
class BareEnd(Aggregate):
    """Base: counts rows."""

    version: ClassVar[int] = 1
    outputs: ClassVar[tuple[str, ...]] = ()

    def build(self, view: DatasetView, root: Location) -> dict[str, int]:
        return {"rows": sum(view.store.table(view.refs["ingest"], part, ["sample_id"]).num_rows for part in view.parts)}


@dataclass(frozen=True)
class DonorRow:
    """One accepted image of the donor: columns and thumbnails by stage."""

    columns: Mapping[str, Mapping[str, Any]]
    blobs: Mapping[str, Mapping[str, bytes]]


@dataclass(frozen=True)
class Replayed(Stage):
    """Base: the real columns, from the donor."""

    version: ClassVar[int] = 1

    donor: str = ""

    def load(self) -> tuple[DonorRow, ...]:
        if self.donor not in _donors:
            _donors[self.donor] = read_donor(Path(self.donor))
        return _donors[self.donor]

    def process_item(self, item: Item, tools: tuple[DonorRow, ...]) -> Result:
        row = tools[int(item.sample_id[:8], 16) % len(tools)]
        columns = dict(row.columns[self.name])
        if "portrait_dhash" in columns:  # or all images of one donor row would be near-duplicates
            columns["portrait_dhash"] = hashlib.sha256(item.sample_id.encode()).digest()
        if "likeness" in columns:  # and one person
            columns["likeness"] = _somebody(item.sample_id)
        return Result(columns=columns, blobs=row.blobs[self.name])


def _somebody(sample_id: str) -> np.ndarray:
    """The likeness of a person who is in no other image."""
    vector = np.random.default_rng(int(sample_id, 16)).normal(size=FEATURES)
    return vector / np.linalg.norm(vector)


_donors: dict[str, tuple[DonorRow, ...]] = {}


def read_donor(out: Path) -> tuple[DonorRow, ...]:
    """The images that every stage of the data set in `out` accepted."""
    view = open_view(out)
    found = []
    for part in view.parts:
        rows = {name: view.store.rows(ref, part) for name, ref in view.refs.items() if name in view.stages}
        for i in range(len(rows["ingest"])):
            if all(rows[name][i]["status"] == "ok" for name in rows):
                found.append(_donor_row(view, part, {name: rows[name][i] for name in rows}))
    if not found:
        raise ValueError(f"{out} has no accepted image to replay")
    return tuple(found)


def _donor_row(view: DatasetView, part: int, rows: Mapping[str, Mapping[str, Any]]) -> DonorRow:
    columns = {name: {c.name: rows[name][c.name] for c in stage.columns} for name, stage in view.stages.items()}
    blobs: dict[str, dict[str, bytes]] = {name: {} for name in view.stages}
    for name, stage in view.stages.items():
        for blob in stage.blobs:
            data = view.store.blob_reader(view.refs[name], part, rows[name])(blob)
            blobs[name][blob] = encode_png(decode_rgb(data)[::THUMBNAIL_STEP, ::THUMBNAIL_STEP])
    return DonorRow(columns, blobs)


def _made(base: type[Any], real: type[Step], prefix: str, **more: Any) -> Any:
    """A subclass that workers find under its name in this module."""
    name = f"{prefix}{real.__name__}"
    body = {"name": real.name, "requires": real.requires, "__module__": __name__, "__doc__": f"{prefix} {real.name}."}
    made: Any = dataclass(frozen=True)(type(name, (base,), body | more))
    globals()[name] = made
    return made


_BARE = tuple(
    _made(Bare, real, "Bare", columns=(Column(f"{real.name}_number", FLOAT, "a number"),)) for real in MAP_STAGES
)
_BARE_ENDS = tuple(_made(BareEnd, real, "Bare") for real in AGGREGATES)
_REPLAYED = tuple(_made(Replayed, real, "Replayed", columns=real.columns, blobs=real.blobs) for real in MAP_STAGES[1:])


def bare() -> Dag:
    """Twelve stages that do next to nothing."""
    return assemble(tuple(stage() for stage in _BARE), tuple(stage() for stage in _BARE_ENDS))


def replayed(donor: Path) -> Dag:
    """The real ingest, manifest, shards and report around eight stages that replay `donor`."""
    stages = (Ingest(min_side_px=1), *(stage(donor=str(donor)) for stage in _REPLAYED))
    return assemble(stages, tuple(aggregate() for aggregate in AGGREGATES))
