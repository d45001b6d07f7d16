"""A data set from Python: `data = dataprep.open_dataset("OUT")`, then `data[0].portrait`, `data.labels("bfm_exp")`.

Rows are those of the shards: accepted samples of the splits asked for, in the shards' order. Whoever wants every input,
rejected ones too, reads `OUT/manifest.parquet`.

Suffixes: N samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import pyarrow as pa

from dataprep.errors import ConfigError, ShardsMissing
from dataprep.files.locations import Location, location
from dataprep.settings import unknown
from dataprep.tables.columns import Column, flat_numbers, rows_from_table
from dataprep.tables.labels import LABELS
from dataprep.tables.review import rejected_in_shards
from dataprep.tables.shard_reader import ImageName, ShardFiles, once, twin_tables, without

SPLITS = ("train", "val")
_NAMES = tuple(label.name for label in LABELS)


class LabelledSample:
    """One accepted sample; pictures are decoded when they are asked for."""

    def __init__(self, data: DataSet, index: int) -> None:
        self._data, self.index, self.sample_id = data, index, data.sample_ids[index]

    @property
    def portrait(self) -> np.ndarray:
        """The portrait on white: uint8 RGB, (512, 512, 3)."""
        return self.picture("portrait")

    @property
    def face(self) -> np.ndarray:
        """The face crop: uint8 RGB, (256, 256, 3)."""
        return self.picture("face")

    @property
    def alpha(self) -> np.ndarray:
        """How much of each pixel of the portrait is person: uint8, (512, 512)."""
        return self.picture("alpha")

    def picture(self, name: ImageName, side_px: int | None = None) -> np.ndarray:
        """Decode a picture, perhaps smaller; raises ShardCorrupt where its bytes are not those that were written."""
        return self._data.files.image(self.index, name, side_px)

    @cached_property
    def labels(self) -> dict[str, np.ndarray]:
        """Every label by its name, float32 in its own shape; `dataprep.describe` tells unit and frame."""
        return {name: values[self.index] for name, values in self._data.all_labels.items()}

    @cached_property
    def row(self) -> dict[str, Any]:
        """Every column of the shards' twin for this sample: labels, scores, flags, models, licence."""
        return rows_from_table(self._data.table.slice(self.index, 1))[0]

    def __repr__(self) -> str:
        return f"LabelledSample({self.index}, {self.sample_id!r})"


class DataSet(Sequence[LabelledSample]):
    """The accepted samples of one or several data sets, each once. Safe to pickle and to fork.

    `left_out` names samples that the shards hold and reviewers rejected since; they are not in it.
    """

    def __init__(
        self, roots: Sequence[Location], splits: Sequence[str] = SPLITS, include_rejected: bool = False
    ) -> None:
        """Read the twins of the shards, and what reviewers said since; raises ShardsMissing, ShardCorrupt, StoreError.

        With `include_rejected` what reviewers rejected is in it, as long as the shards hold it.
        """
        self.files = ShardFiles()
        rejected = frozenset[str]() if include_rejected else frozenset[str]().union(*map(rejected_in_shards, roots))
        dropped, tables = list[str](), []
        for tar, whole in once(twin_tables(roots, splits, None)):
            table = without(whole, rejected, dropped)
            self.files.add(tar, table)
            tables.append(table)
        self.left_out = tuple(sorted(dropped))
        if not tables or not len(self.files):
            listed = ", ".join(map(str, roots))
            why = "reviewers rejected all of them" if dropped else "shhq-hs errors OUT says why"
            raise ShardsMissing(f"{listed}: no samples in the split {' or '.join(splits)}; {why}")
        self.table: pa.Table = pa.concat_tables(tables, promote_options="permissive")

    @property
    def sample_ids(self) -> list[str]:
        """The ids, in order; the same photograph has the same id in every build."""
        return self.files.sample_ids

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels that this data set has."""
        return tuple(self.all_labels)

    def labels(self, *names: str) -> dict[str, np.ndarray]:
        """Return float32 arrays (N, *shape) of the labels named, of all where none is.

        Raises ConfigError on a name that is no label of this data set.
        """
        return {name: self.all_labels[self.require_label(name)] for name in names or self.label_names}

    @cached_property
    def all_labels(self) -> Mapping[str, np.ndarray]:
        """Every label as one array, read once."""
        columns = set(self.table.column_names)
        return {label.name: _array(self.table[label.name], label) for label in LABELS if label.name in columns}

    def require_label(self, name: str) -> str:
        """Return the name; raises ConfigError with the nearest one where this data set has no such label."""
        if name not in self.all_labels:
            raise ConfigError(f"no such label: {unknown(name, self.label_names)}")
        return name

    def index(self, sample: Any, start: int = 0, stop: int | None = None) -> int:
        """Return where a sample id stands; raises ValueError where it is not in the splits opened."""
        wanted = sample.sample_id if isinstance(sample, LabelledSample) else sample
        return self.sample_ids.index(wanted, start, len(self) if stop is None else stop)

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int | str) -> LabelledSample: ...
    @overload
    def __getitem__(self, index: slice) -> list[LabelledSample]: ...
    def __getitem__(self, index: int | str | slice) -> LabelledSample | list[LabelledSample]:
        """Return the sample at a position or of an id, or those of a slice; raises IndexError or KeyError."""
        if isinstance(index, slice):
            return [LabelledSample(self, i) for i in range(*index.indices(len(self)))]
        if isinstance(index, str):
            try:
                return LabelledSample(self, self.sample_ids.index(index))
            except ValueError:
                raise KeyError(f"{index}: no accepted sample has this id") from None
        position = int(index) + (len(self) if index < 0 else 0)
        if not 0 <= position < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return LabelledSample(self, position)

    def __iter__(self) -> Iterator[LabelledSample]:
        return (LabelledSample(self, i) for i in range(len(self)))

    def __repr__(self) -> str:
        return f"DataSet({len(self)} samples, {len(self.label_names)} labels)"


def open_dataset(*outs: str | Path | Location, split: str | None = None, include_rejected: bool = False) -> DataSet:
    """Open data sets that `shhq-hs run` built, or folders of their shards; also `s3://bucket/prefix`.

    `split`: train or val; both where it is left out. Samples that reviewers rejected (`shhq-hs view`, `review`) are
    left out, as training does, also before the next run takes them out of the shards; `include_rejected` keeps them. A
    sample that is in several data sets is there once. Raises ConfigError on another one, ShardsMissing where there are
    no shards, ShardCorrupt where they are not as they were written.
    """
    if split is not None and split not in SPLITS:
        raise ConfigError(f"split={split!r}: expected {' or '.join(SPLITS)}, or nothing for both")
    if not outs:
        raise ConfigError("open_dataset: no folder given; expected that of a data set: open_dataset('OUT')")
    roots = [location(str(out)) if isinstance(out, str) else out for out in outs]
    return DataSet(roots, SPLITS if split is None else (split,), include_rejected)


def describe(name: str) -> Column:
    """Return what a label is: shape, unit, frame and meaning; raises ConfigError with the nearest name."""
    if name not in _NAMES:
        raise ConfigError(f"no such label: {unknown(name, _NAMES)}")
    return next(label for label in LABELS if label.name == name)


def _array(column: pa.ChunkedArray, label: Column) -> np.ndarray:
    """Return (N, *shape); a row without the label is NaN."""
    found = np.full((len(column), int(np.prod(label.shape))), np.nan, np.float32)
    found[column.is_valid().to_numpy()] = (
        flat_numbers(column).to_numpy(zero_copy_only=False).reshape(-1, found.shape[1])
    )
    return found.reshape(-1, *label.shape)
