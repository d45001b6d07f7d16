"""Every number that a preset holds has bounds, and what lies outside is an error before any work."""

import dataclasses
import math

import pytest

from dataprep.errors import ConfigError
from dataprep.settings import bounds_of
from gan.presets import Preset, preset
from gan.settings import with_settings


def numbers(record, prefix=""):
    """(name, bounds) of every number of a dataclass, nested ones with dots."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{prefix}{field.name}.")
        elif isinstance(value, int | float | tuple) and not isinstance(value, bool):
            yield prefix + field.name, value, bounds_of(field)


@pytest.mark.parametrize(("name", "value", "bounds"), list(numbers(Preset())))
def test_numbers_of_presets_have_bounds(name, value, bounds):
    assert bounds is not None
    beyond = [bounds[0] - 1, math.nan, math.inf, *([bounds[1] * 2 + 1] if math.isfinite(bounds[1]) else [])]
    for one in beyond:
        if isinstance(value, int) and not math.isfinite(one):
            continue  # refused as no whole number
        text = f"{one:.0f}" if isinstance(value, int) else f"{one},0.5" if isinstance(value, tuple) else repr(one)
        with pytest.raises(ConfigError, match=rf"--set {name}=.*expected"):
            with_settings(preset("paper-stage1"), [f"{name}={text}"])
