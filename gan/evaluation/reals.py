"""Real pictures for evaluation: chosen rows in order, as they are; never the stream that training reads.

Suffixes: N pictures, H W pixels.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataprep.errors import ConfigError
from gan.data.sampler import epoch_order
from gan.data.shards import ShardDataset, Split
from gan.evaluation.fakes import GeneratedPictures, Sizes


@dataclass(frozen=True)
class RealSet:
    """Rows of a data set, small enough to send to other processes; `sha256` is that of their files, in order."""

    roots: tuple[Path, ...]
    split: Split
    rows: tuple[int, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.rows)

    def open(self, sizes: Sizes) -> ShardDataset:
        return ShardDataset(self.roots, self.split, sizes.portrait_px, sizes.face_px)

    def sample_ids(self) -> list[str]:
        every = ShardDataset(self.roots, self.split).sample_ids
        return [every[row] for row in self.rows]

    def pictures(self, dataset: ShardDataset, indices: Sequence[int] | range) -> GeneratedPictures:
        samples = [dataset[self.rows[index]] for index in indices]
        return GeneratedPictures(np.stack([one.portrait for one in samples]), np.stack([one.face for one in samples]))


def choose_reals(dataset: ShardDataset, roots: Sequence[Path], split: Split, wanted: int | None, seed: int) -> RealSet:
    """Return all rows, or `wanted` of them drawn from `seed`, in the data set's order."""
    if wanted is not None and not 2 <= wanted <= len(dataset):
        raise ConfigError(f"--real {wanted}: the split '{split}' has {len(dataset)} pictures, expected 2 to that many")
    rows = range(len(dataset)) if wanted is None else sorted(epoch_order(len(dataset), seed, 0)[:wanted].tolist())
    digest = hashlib.sha256()
    for row in rows:
        digest.update(dataset.digest(row, "portrait") + dataset.digest(row, "face"))
    return RealSet(tuple(roots), split, tuple(rows), digest.hexdigest())
