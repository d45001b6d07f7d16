"""The one rule for which label rows may be drawn: training, animation, the manifest's flag and the report all ask here.

A label table is the generator's prior, and one bad row would be sampled for ever. So a row is left out of a group of
labels (`dataprep.tables.labels.PriorGroup`) when one label of the group lies more than its `outlier_cut` out, measured
among the training rows; the other groups may still draw it. A person with a failed expression is still a person.

Several data sets trained together are judged together, the manifest's flag judges its own data set alone.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from dataprep.errors import ConfigError
from dataprep.tables.labels import PriorGroup, drawn

_DIMENSIONS = 16  # at a time: a million rows of 80 coefficients would be 640 MB as float64, these are 128 MB


def robust_distance(
    values: Float[np.ndarray, "n *k"], among: Bool[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, " n"]:
    """Return the root mean square over the dimensions of (value - median) / (1.4826 MAD).

    Median and MAD are those of the rows in `among`, by default of all. A dimension in which most rows agree (MAD zero)
    is measured in standard deviations; a constant one does not count.
    """
    flat = values.reshape(len(values), -1)
    return distance_by_parts(lambda dimensions: flat[:, dimensions], flat.shape[1], among)


def distance_by_parts(
    read: Callable[[slice], Float[np.ndarray, "n k"]], width: int, among: Bool[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, " n"]:
    """Return `robust_distance` of a label of `width` dimensions that is read a few dimensions at a time."""
    parts = [_squares(read(slice(i, i + _DIMENSIONS)).astype(np.float64), among) for i in range(0, width, _DIMENSIONS)]
    return np.sqrt(np.sum(parts, axis=0) / width)


def _squares(values: Float[np.ndarray, "n k"], among: Bool[np.ndarray, " n"] | None) -> Float[np.ndarray, " n"]:
    """Sum over dimensions of squared robust deviations."""
    return _deviations(values, *centre_and_spread(values if among is None else values[among]))


def centre_and_spread(
    reference: Float[np.ndarray, "n k"],
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Return what deviations of each dimension are measured from and by: the median, and 1.4826 MAD."""
    median = np.median(reference, axis=0)
    spread = 1.4826 * np.median(np.abs(reference - median), axis=0)
    return median, np.where(spread > 0, spread, reference.std(axis=0))


def distance_of(
    values: Float[np.ndarray, "n k"], centre: Float[np.ndarray, " k"], spread: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " n"]:
    """Return `robust_distance` of some rows, given what the rows it is measured by came to."""
    width = values.shape[1]
    slices = [slice(i, i + _DIMENSIONS) for i in range(0, width, _DIMENSIONS)]
    parts = [_deviations(values[:, some].astype(np.float64), centre[some], spread[some]) for some in slices]
    return np.sqrt(np.sum(parts, axis=0) / width)


def _deviations(values: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> Float[np.ndarray, " n"]:
    z = np.divide(values - centre, spread, out=np.zeros_like(values), where=spread > 0)
    return np.square(z).sum(axis=1)


def usual_rows(distances: Mapping[str, Float[np.ndarray, " n"]]) -> dict[PriorGroup, Bool[np.ndarray, " n"]]:
    """Return which rows each group may draw, from the robust distances of its labels.

    A label without distances (data sets from elsewhere need not have every one) leaves nothing out.
    """
    kept = {}
    for group in PriorGroup:
        within = [distances[one.name] <= one.outlier_cut for one in drawn(group) if one.name in distances]
        if within:
            kept[group] = np.all(within, axis=0)
    return kept


def drawable_rows(
    labels: Mapping[str, Float[np.ndarray, "n *k"]], among: Bool[np.ndarray, " n"] | None = None
) -> dict[PriorGroup, Bool[np.ndarray, " n"]]:
    """Return which rows each group may draw, from the labels by name; `usual_rows` where they are all in memory."""
    return usual_rows({name: robust_distance(values, among) for name, values in labels.items()})


def label_outliers(labels: Mapping[str, Float[np.ndarray, "n *k"]], splits: Sequence[str | None]) -> np.ndarray:
    """Return the manifest's `flag_label_outlier` (n,): the selected rows that some group may not draw.

    `splits` says train, val or, for a row that is not selected, None. Validation rows are measured among the training
    rows too, though nobody draws them; where there is no training row, among themselves.
    """
    selected = np.array([split is not None for split in splits], bool)
    train = np.array([split == "train" for split in splits], bool)
    among = train if train.any() else selected
    if not among.any():
        return selected
    kept = drawable_rows(labels, among)
    return selected & ~np.all([selected, *kept.values()], axis=0)


def require_rows(kept: Mapping[PriorGroup, Bool[np.ndarray, " n"]], what: str) -> None:
    """Raise ConfigError where a group is left without rows."""
    for group, rows in kept.items():
        if not rows.any():
            names = " + ".join(one.name for one in drawn(group))
            raise ConfigError(
                f"{what}: none of {len(rows)} rows has a usual {names}, every one lies beyond the cut of "
                "dataprep/tables/labels.py; see them in the report, section Prior: shhq-hs report OUT, then add people"
            )
