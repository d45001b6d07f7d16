"""The shards of one or several data sets as training takes them: pictures in its sizes, labels, one pair of models."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from dataprep.errors import ShardCorrupt, ShardsMissing
from dataprep.files.locations import Location
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.tables.labels import BASES
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from dataprep.tables.shard_reader import ShardFiles, Split, once, twin_tables, without
from gan.checkpoint import Bases
from gan.data.errors import MixedBases
from gan.data.label_rows import LABEL_SHAPES, concatenate, labels_from_table


class Sample(NamedTuple):
    """Real images of one person: uint8 RGB (H, W, 3) on white."""

    row: int
    portrait: np.ndarray
    face: np.ndarray


class ShardDataset(ShardFiles):
    """Map-style data set over the shards below one or several output folders.

    `labels` and `bases` are those of all samples. Samples are in the order of the folders given, then of the shards'
    names, then of the rows; one that an earlier folder has is there once. `left_out`: ids that
    are as if the shards did not hold them; the attribute names those that they hold.
    """

    def __init__(
        self,
        roots: Sequence[Location],
        split: Split = "train",
        portrait_px: int = PORTRAIT_PX,
        face_px: int = 256,
        verify: bool = False,
        left_out: Collection[str] = (),
    ) -> None:
        super().__init__(verify)
        self.split, self.portrait_px, self.face_px = split, portrait_px, face_px
        whole = list(twin_tables(roots, (split,), (*BASES, *LABEL_SHAPES), (SAMPLING_WEIGHT,)))
        dropped = list[str]()
        tables = [(tar, without(table, left_out, dropped)) for tar, table in once(whole)]
        for tar, table in tables:
            self.add(tar, table)
        if not len(self):
            raise ShardsMissing(f"{_listed(roots)}: no samples in the split '{split}'")
        self.left_out = tuple(sorted(dropped))
        self.bases = _one_basis(whole)  # also of rows that an earlier folder has
        self.labels = concatenate(labels_from_table(table, str(tar)) for tar, table in tables)
        self._weights = _weights([table for _, table in tables])

    def sampling_weights(self) -> Float[np.ndarray, " n"]:
        """Return how often each sample is to be drawn beside others; 1 on average in each data set.

        Raises ShardsMissing where a data set was built without them.
        """
        if self._weights is None or not np.all(self._weights > 0):
            raise ShardsMissing(
                f"balance=yes: not every sample has a {SAMPLING_WEIGHT}; build the data set again: shhq-hs run"
            )
        return self._weights

    def __getitem__(self, index: int) -> Sample:
        return Sample(index, self.image(index, "portrait", self.portrait_px), self.image(index, "face", self.face_px))


def _one_basis(tables: Sequence[tuple[Location, pa.Table]]) -> Bases:
    """Return the body and face model all rows agree on."""
    seen: dict[Bases, Location] = {}
    for tar, table in tables:
        for values in sorted(set(zip(*(table[name].to_pylist() for name in BASES), strict=True)), key=repr):
            if None in values:
                raise ShardCorrupt(f"{tar}: a row does not name its body and face model; build the shards again")
            seen.setdefault(Bases(*values), tar)
    if len(seen) > 1:
        said = " but ".join(f"{tar} was made with {bases}" for bases, tar in seen.items())
        raise MixedBases(
            f"{said}. Coefficients of different bases never mix: train on one of them, or rebuild all with one"
        )
    return next(iter(seen))


def _weights(tables: Sequence[pa.Table]) -> Float[np.ndarray, " n"] | None:
    """Return the sampling weights of all rows, NaN where a row has none; None where a data set has no such column."""
    if any(SAMPLING_WEIGHT not in table.column_names for table in tables):
        return None
    return np.concatenate([table[SAMPLING_WEIGHT].cast(pa.float64()).to_numpy() for table in tables])


def _listed(roots: Sequence[Location]) -> str:
    return ", ".join(str(root) for root in roots) or "no folder given"
