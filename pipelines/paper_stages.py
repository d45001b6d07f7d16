"""The twelve stages in the paper's order, and their settings: `stage.param=value`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, get_type_hints

from dataprep.errors import ConfigError
from dataprep.stages.aggregate import Aggregate
from dataprep.stages.base import Stage, Step
from dataprep.stages.body import Body
from dataprep.stages.camera import Camera
from dataprep.stages.crop import Crop
from dataprep.stages.detect import Detect
from dataprep.stages.face import Face
from dataprep.stages.ingest import Ingest
from dataprep.stages.manifest import Manifest
from dataprep.stages.matte import Matte
from dataprep.stages.quality import Quality
from dataprep.stages.report import Report
from dataprep.stages.shards import Shards
from dataprep.stages.superres import SuperRes
from pipelines.engine.dag import Dag, assemble

MAP_STAGES: tuple[type[Stage], ...] = (Ingest, Detect, Body, Crop, SuperRes, Matte, Face, Camera, Quality)
AGGREGATES: tuple[type[Aggregate], ...] = (Manifest, Shards, Report)
STEPS: tuple[type[Step], ...] = (*MAP_STAGES, *AGGREGATES)
STAGE_NAMES = tuple(step.name for step in STEPS)


def stage_index(name: str) -> int:
    """Position of a stage by name; raises ConfigError with the nearest name."""
    if name not in STAGE_NAMES:
        raise ConfigError(f"no stage is named {name!r}{_hint(name, STAGE_NAMES)}; stages: {', '.join(STAGE_NAMES)}")
    return STAGE_NAMES.index(name)


def build(settings: Iterable[str] = ()) -> Dag:
    """Stages with `stage.param=value` settings applied; raises ConfigError on an unknown key or a wrong type."""
    parameters: dict[str, dict[str, Any]] = {name: {} for name in STAGE_NAMES}
    for setting in settings:
        stage, key, value = parse_setting(setting)
        parameters[stage][key] = value
    return assemble(
        tuple(stage(**parameters[stage.name]) for stage in MAP_STAGES),
        tuple(aggregate(**parameters[aggregate.name]) for aggregate in AGGREGATES),
    )


def parse_setting(setting: str) -> tuple[str, str, Any]:
    """Split and check `stage.param=value`; the value takes the type of the stage's field."""
    key, separator, text = setting.partition("=")
    name, dot, parameter = key.strip().partition(".")
    if not separator or not dot:
        raise ConfigError(f"--set {setting!r}: expected stage.param=value, for example --set superres.model=x4plus")
    stage = STEPS[stage_index(name)]
    names = [f.name for f in dataclasses.fields(stage)]
    if parameter not in names:
        raise ConfigError(
            f"--set {setting!r}: stage {name} has no parameter {parameter!r}{_hint(parameter, names)}; "
            f"it has: {', '.join(names) or 'none'}"
        )
    return name, parameter, _convert(setting, text.strip(), get_type_hints(stage)[parameter])


def _hint(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _convert(setting: str, text: str, kind: Any) -> Any:
    choices = getattr(kind, "__args__", ()) if getattr(kind, "__origin__", None) is not None else ()
    if choices and all(isinstance(choice, str) for choice in choices):  # Literal["a", "b"]
        if text not in choices:
            raise ConfigError(f"--set {setting!r}: expected one of {', '.join(choices)}")
        return text
    if kind is bool:
        if text.lower() not in ("true", "false", "1", "0", "yes", "no"):
            raise ConfigError(f"--set {setting!r}: expected true or false")
        return text.lower() in ("true", "1", "yes")
    if kind in (int, float):
        try:
            value = kind(text)
            finite = math.isfinite(value)
        except (ValueError, OverflowError):  # no number, or one with hundreds of digits
            finite = False
        if not finite:
            raise ConfigError(f"--set {setting!r}: expected a finite {kind.__name__}, got {text[:40]!r}")
        return value
    return text
