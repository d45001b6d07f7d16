"""Is every column there, and in its range? Null rates, numbers that are not finite, and ranges that units imply."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from dataprep.report.census import Census
from dataprep.tables.labels import LABELS
from dataprep.tables.sampling_weights import SAMPLING_WEIGHT
from dataprep.wording import plural

# What a unit or a definition allows, far outside of which a value is a fault: column -> (low, high).
RANGES = {
    "yaw": (-math.pi, math.pi), "pitch": (-math.pi / 2, math.pi / 2), "roll": (-math.pi, math.pi),
    "crop_roll_rad": (-math.pi, math.pi), "crop_inside": (0, 1), "upsampling": (0, 64),
    "alpha_coverage": (0, 1), "alpha_softness": (0, 1), "mesh_agreement": (0, 1), "face_score": (0, 1),
    "face_fit_rmse": (0, 512), "body_fit_rmse_relative": (0, 1), "crop_side_px": (1, 65_535),
    "head_disagreement": (0, math.pi), "head_disagreement_before": (0, math.pi), "width": (1, 8192),
    "height": (1, 8192), **{label.name: label.allowed for label in LABELS if label.allowed is not None},
}  # fmt: skip
# Null in accepted rows by definition, not by fault.
OPTIONAL = frozenset({
    "stage", "reason", "message", "duplicate_of", "mask_path", "mask_sha256", "mask_iou", "mask_refused", "openpose",
    "openpose25", "source_profile", "likeness", "likeness_self", "skin_ita_deg", "skin_cheeks", SAMPLING_WEIGHT,
    "clip", "clip_time_s", "source_url", "consent", "caption", "url_sha256", "source_place", "source_offset",
})  # fmt: skip


@dataclass(frozen=True)
class ColumnHealth:
    """One column: nulls over all inputs and over the accepted rows; range over the rows that have it."""

    column: str
    unit: str
    null_fraction: float
    null_accepted: int
    low: float | None
    high: float | None
    not_finite: int
    allowed: tuple[float, float] | None
    defects: tuple[str, ...]


def health(census: Census) -> tuple[ColumnHealth, ...]:
    """Every column of the manifest, those with defects first."""
    found = [_column(census, field.name) for field in census.schema]
    return tuple(sorted(found, key=lambda one: not one.defects))


def _column(census: Census, name: str) -> ColumnHealth:
    field = census.schema.field(name)
    nulls, null_accepted, not_finite = 0, 0, 0
    low, high = math.inf, -math.inf
    for block in census.blocks(name):
        missing = np.asarray(block.table[name].is_null().to_numpy(), bool)
        nulls, null_accepted = nulls + int(missing.sum()), null_accepted + int((missing & census.ok[block.rows]).sum())
        if "float" in str(field.type):
            values = block.numbers(name)
            finite = values[np.isfinite(values)]
            not_finite += len(values) - len(finite)
            low, high = min(low, finite.min(initial=math.inf)), max(high, finite.max(initial=-math.inf))
    allowed = (0.0, 1.0) if name.startswith("q_") else RANGES.get(name)
    known = low <= high
    defects = []
    if null_accepted and name not in OPTIONAL:
        defects.append(f"null in {null_accepted} accepted {plural(null_accepted, 'row')}")
    if not_finite:
        defects.append(f"{not_finite} {plural(not_finite, 'value is', 'values are')} not finite")
    if allowed and known and (low < allowed[0] - 1e-5 or high > allowed[1] + 1e-5):
        defects.append(f"outside {allowed[0]:g} to {allowed[1]:g}")
    unit = (field.metadata or {}).get(b"unit", b"-").decode()
    share = round(nulls / max(len(census), 1), 6)
    lowest, highest = (round(float(low), 6), round(float(high), 6)) if known else (None, None)
    return ColumnHealth(name, unit, share, null_accepted, lowest, highest, not_finite, allowed, tuple(defects))
