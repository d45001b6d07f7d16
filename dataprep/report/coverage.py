"""What the accepted portraits show: where heads and cameras look, how labels and sizes spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from dataprep.report.census import Census
from dataprep.tables.labels import BFM_EXP, BFM_ID, CAMERA_PITCH_YAW, JOINTS_ZYX, SMPL_BETAS

CELL_DEG = 10.0  # side of a cell of the maps
YAW_EDGES_DEG, PITCH_EDGES_DEG = np.arange(-90, 91, CELL_DEG), np.arange(-50, 51, CELL_DEG)
PERCENTILES = (0, 5, 25, 50, 75, 95, 100)
JOINTS = ("neck", "left collar", "right collar", "head", "left shoulder", "right shoulder")
AXES = ("z", "y", "x")
_COEFFICIENTS = ((BFM_EXP, "expression", 10), (BFM_ID, "face shape", 10), (SMPL_BETAS, "body shape", 10))


@dataclass(frozen=True)
class HeatMap:
    """Accepted portraits by two angles; `counts[row][column]`, rows from the highest pitch down."""

    title: str
    caption: str
    columns: tuple[str, ...]
    yaw_edges_deg: tuple[float, ...]
    pitch_edges_deg: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    outside: int


@dataclass(frozen=True)
class Range:
    """PERCENTILES of one number over the accepted portraits."""

    label: str
    column: str
    index: int  # in the flattened column
    unit: str
    percentiles: tuple[float, ...]


@dataclass(frozen=True)
class Ranges:
    """Numbers of one kind, drawn on one axis."""

    title: str
    unit: str
    rows: tuple[Range, ...]


def heat_maps(census: Census) -> tuple[HeatMap, ...]:
    """Heads by the 3DMM, cameras by SMPL."""
    head = np.degrees(np.stack([census.floats("yaw"), census.floats("pitch")]))[:, census.ok]
    cameras = census.matrix(CAMERA_PITCH_YAW)[census.ok].astype(np.float64)
    # pi/2 is straight in front; smaller angles are the subject's left and above (dataprep.fits.generator_labels)
    chest = 90 - np.degrees(cameras.T) if cameras.shape[1] else np.full((2, len(cameras)), np.nan)
    return (
        _heat_map("Head", "yaw towards the picture's right, pitch upwards (3DMM)", ("yaw", "pitch"), *head),
        _heat_map(
            "Camera around the chest", "yaw to the person's left, pitch from above (SMPL)", (CAMERA_PITCH_YAW,),
            chest[1], chest[0],
        ),
    )  # fmt: skip


def _heat_map(
    title: str, caption: str, columns: tuple[str, ...], yaw_deg: np.ndarray, pitch_deg: np.ndarray
) -> HeatMap:
    known = ~(np.isnan(yaw_deg) | np.isnan(pitch_deg))
    counts, _ = np.histogramdd((pitch_deg[known], yaw_deg[known]), bins=[PITCH_EDGES_DEG, YAW_EDGES_DEG])
    grid = counts[::-1].astype(int)
    return HeatMap(
        title, caption, columns, tuple(YAW_EDGES_DEG.tolist()), tuple(PITCH_EDGES_DEG.tolist()),
        tuple(map(tuple, grid.tolist())), int(known.sum() - grid.sum()),
    )  # fmt: skip


def label_ranges(census: Census) -> tuple[Ranges, ...]:
    """The six joints' angles in degrees, then the first coefficients of each basis in standard deviations."""
    joints = np.degrees(census.matrix(JOINTS_ZYX)[census.ok])
    names = [f"{joint}, about {axis}" for joint in JOINTS for axis in AXES]
    found = [Ranges("Joint angles", "°", _rows(JOINTS_ZYX, names, "°", joints))]
    for column, title, first in _COEFFICIENTS:
        values = census.matrix(column, slice(first))[census.ok]
        labels = [f"{title} {i + 1}" for i in range(values.shape[1])]
        rows = _rows(column, labels, "standard deviations", values)
        found.append(Ranges(f"{title.capitalize()}, coefficients 1 to {len(rows)}", "standard deviations", rows))
    return tuple(ranges for ranges in found if ranges.rows)


def _rows(column: str, labels: Sequence[str], unit: str, values: Float[np.ndarray, "n k"]) -> tuple[Range, ...]:
    values = values[np.isfinite(values).all(axis=1)]
    if not values.size:
        return ()
    percentiles = np.percentile(values.astype(np.float64), PERCENTILES, axis=0).T.round(4)
    return tuple(
        Range(label, column, i, unit, tuple(map(float, row)))
        for i, (label, row) in enumerate(zip(labels, percentiles, strict=True))
    )


@dataclass(frozen=True)
class SizeHistogram:
    """Accepted portraits by one size; the last bin is open."""

    column: str
    title: str
    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]


_SIZES = (
    (
        "crop_side_px",
        "side of the portrait square in the photograph",
        "px",
        (0, 96, 128, 192, 256, 384, 512, 768, 1024),
    ),
    ("upsampling", "portrait pixels per photograph pixel", "×", (0, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6)),
)


def size_histograms(census: Census) -> tuple[SizeHistogram, ...]:
    """Resolution of the photographs under the portraits, and how far they were enlarged."""
    found = []
    for column, title, unit, edges in _SIZES:
        values = census.floats(column)[census.ok]
        values = values[~np.isnan(values)]
        if len(values):
            counts, _ = np.histogram(values, bins=[*edges, np.inf])
            found.append(SizeHistogram(column, title, unit, tuple(map(float, edges)), tuple(counts.tolist())))
    return tuple(found)
