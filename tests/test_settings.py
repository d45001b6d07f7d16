"""Every number that can be set has bounds, and what lies outside is an error before any work."""

import dataclasses
import math

import pytest

from dataprep.errors import ConfigError
from dataprep.settings import bounds_of
from gan.preset_settings import with_settings
from gan.presets import Preset, preset
from pipelines import paper_stages


def numbers(record, prefix):
    """(name, value, bounds) of every number of a dataclass, nested ones with dots."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{prefix}{field.name}.")
        elif isinstance(value, int | float | tuple) and not isinstance(value, bool):
            yield prefix + field.name, value, bounds_of(field)


def outside(value, bounds):
    """Texts of values that are out of bounds or not finite."""
    low, high = bounds
    beyond = [low - 1, math.nan, math.inf, *([2 * high + 1] if math.isfinite(high) else [])]
    if isinstance(value, int):
        return [f"{one:.0f}" for one in beyond if math.isfinite(one)]
    return [f"{one},0.5" if isinstance(value, tuple) else repr(one) for one in beyond]


PRESETS = [*numbers(Preset(), "")]
STAGES = [entry for step in paper_stages.STEPS for entry in numbers(step(), f"{step.name}.")]


@pytest.mark.parametrize(("name", "value", "bounds"), PRESETS)
def test_numbers_of_presets_have_bounds(name, value, bounds):
    assert bounds is not None
    for text in outside(value, bounds):
        with pytest.raises(ConfigError, match=rf"--set {name}=.*expected"):
            with_settings(preset("paper-stage1"), [f"{name}={text}"])


@pytest.mark.parametrize(("name", "value", "bounds"), STAGES)
def test_numbers_of_stages_have_bounds(name, value, bounds):
    assert bounds is not None
    for text in outside(value, bounds):
        with pytest.raises(ConfigError, match=rf"--set '?{name}=.*expected"):
            paper_stages.build([f"{name}={text}"])
