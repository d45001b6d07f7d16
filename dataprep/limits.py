"""Ranges of parameters: a value out of range is the user's error before any work starts."""

from __future__ import annotations

import math

from dataprep.errors import ConfigError


def require(parameter: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise ConfigError unless low <= value <= high (never true of NaN)."""
    if not low <= value <= high:
        bounds = f"between {low:g} and {high:g}" if math.isfinite(high) else f"at least {low:g}"
        raise ConfigError(f"--set {parameter}={value:g}: expected {bounds}")
