"""Settings are fields of frozen dataclasses; bounds of numbers stand beside their defaults, checked before any work.

@dataclass(frozen=True)
class Crop(Stage):
    min_side_px: float = number(180.0, 0, 4096)

    def __post_init__(self) -> None:
        require_bounds(self, "crop.")
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from dataprep.errors import ConfigError

_BOUNDS = "bounds"


def number(default: Any, low: float, high: float = math.inf, **metadata: Any) -> Any:
    """Declare a field that holds a number, or a tuple of them, from `low` to `high`; without `high` any finite one."""
    return dataclasses.field(default=default, metadata={_BOUNDS: (low, high), **metadata})


def bounds_of(field: dataclasses.Field[Any]) -> tuple[float, float] | None:
    """Return what `number` was told; None for other fields."""
    return field.metadata.get(_BOUNDS)


def require_bounds(record: Any, prefix: str) -> None:
    """Raise ConfigError unless every `number` of the dataclass is finite and within its bounds."""
    for field in dataclasses.fields(record):
        if bounds := bounds_of(field):
            value = getattr(record, field.name)
            for one in value if isinstance(value, tuple) else (value,):
                require(prefix + field.name, one, *bounds)


def require(parameter: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise ConfigError unless low <= value <= high and finite (never true of NaN)."""
    if not (low <= value <= high and math.isfinite(value)):
        bounds = f"between {low:g} and {high:g}" if math.isfinite(high) else f"a finite number of at least {low:g}"
        raise ConfigError(f"--set {parameter}={value:g}: expected {bounds}")
