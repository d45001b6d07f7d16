"""Vectors that say what a portrait is like: who is in it, or how the picture looks.

likeness   the manifest's column of that name; two photographs of one person are close (docs/people.md)
picture    the features of `frechet_span` (docs/evaluation.md), made here from the portraits: sharpness, noise,
           background and colour; they say nothing about who it is
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from dataprep.errors import ConfigError
from dataprep.pictures.codecs import decode_rgb
from dataprep.report.census import Census

LIKENESS, PICTURE = "likeness", "picture"
KINDS = {LIKENESS: "who is in it", PICTURE: "how the picture looks"}
_BATCH = 16
Progress = Callable[[float, str], None]
ReadPicture = Callable[[int], bytes | None]


@dataclass(frozen=True, eq=False)
class FeatureRows:
    """Unit vectors of some rows of a manifest; `rows` rise. `network`: what made them."""

    kind: str
    rows: Int[np.ndarray, " m"]
    vectors: Float[np.ndarray, "m k"]
    network: str

    def place(self, row: int) -> int | None:
        """Where a row stands among these; None when it has no vector."""
        at = int(np.searchsorted(self.rows, row))
        return at if at < len(self.rows) and self.rows[at] == row else None


def require_kind(kind: str) -> str:
    """The kind itself; raises ConfigError on another word."""
    if kind not in KINDS:
        raise ConfigError(f"by={kind[:40]}: expected one of {', '.join(KINDS)}")
    return kind


def likeness_rows(census: Census) -> FeatureRows:
    """The likenesses that the manifest holds, of every row that has one.

    Raises ConfigError when it has none: an older data set, or one of faces too small.
    """
    vectors = census.matrix("likeness")
    rows = np.flatnonzero(np.isfinite(vectors).all(axis=1)) if vectors.shape[1] else np.zeros(0, np.int64)
    if not len(rows):
        raise ConfigError(
            f"{census.path}: no portrait has a likeness; run `shhq-hs run SOURCE --out DIR` again on it, or compare by "
            "how pictures look"
        )
    return FeatureRows(LIKENESS, rows, _units(vectors[rows]), "likeness")


def load() -> Any:
    """Return the offline network whose features describe a picture; the viewer begins without torch."""
    from gan.evaluation.feature_networks import offline_networks

    return offline_networks()[0]


def picture_rows(census: Census, read: ReadPicture, progress: Progress) -> FeatureRows:
    """SPAN's features of every portrait that can be read; some 30 ms each on one core.

    `read`: the portrait of a row as PNG, None without one. Every dimension counts by its deviation from the mean:
    means of activations are positive, and the cosine of any two would be near 1. Raises ConfigError when no portrait
    is there.
    """
    spec = load()
    network = spec.open()
    rows, found = [], []
    judged = np.flatnonzero(census.ok)
    for batch in _batches(_pictures(judged, read, progress)):
        rows += [row for row, _ in batch]
        found.append(network(np.stack([rgb for _, rgb in batch])))
    if not rows:
        raise ConfigError(f"{census.path}: no portrait can be read; `shhq-hs verify` says which files are missing")
    vectors = np.concatenate(found).astype(np.float64)
    deviation = vectors.std(axis=0)
    scaled = (vectors - vectors.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return FeatureRows(PICTURE, np.array(rows), _units(scaled), f"{spec.weights} {spec.weights_sha256} {spec.resize}")


def _pictures(rows: Int[np.ndarray, " n"], read: ReadPicture, progress: Progress) -> Iterator[tuple[int, np.ndarray]]:
    for done, row in enumerate(rows.tolist()):
        progress(done / len(rows), f"{done:,} of {len(rows):,} portraits read")
        data = read(row)
        if data is not None:
            yield row, decode_rgb(data)


def _batches(pictures: Iterable[tuple[int, np.ndarray]]) -> Iterator[list[tuple[int, np.ndarray]]]:
    """Pictures of one size together, as they follow each other."""
    batch: list[tuple[int, np.ndarray]] = []
    for row, rgb in pictures:
        if batch and (len(batch) == _BATCH or batch[0][1].shape != rgb.shape):
            yield batch
            batch = []
        batch.append((row, rgb))
    if batch:
        yield batch


def _units(vectors: np.ndarray) -> Float[np.ndarray, "m k"]:
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
