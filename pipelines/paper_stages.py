"""The stages in the paper's order, and their parameters: `stage.parameter=value`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from dataprep.errors import ConfigError
from dataprep.inputs.gathering import Clips, Fetch, Gathering
from dataprep.models.licensed import require_files
from dataprep.settings import Given, Setting, read, settings_of, unknown
from dataprep.stages.aggregate import Aggregate
from dataprep.stages.balance import Balance
from dataprep.stages.base import Stage, Step
from dataprep.stages.body import Body
from dataprep.stages.camera import Camera
from dataprep.stages.crop import Crop
from dataprep.stages.detect import Detect
from dataprep.stages.face import Face
from dataprep.stages.ingest import Ingest
from dataprep.stages.likeness import Likeness
from dataprep.stages.manifest import Manifest
from dataprep.stages.matte import Matte
from dataprep.stages.quality import Quality
from dataprep.stages.report import Report
from dataprep.stages.shards import Shards
from dataprep.stages.superres import SuperRes
from pipelines.engine.dag import Dag, assemble

MAP_STAGES: tuple[type[Stage], ...] = (
    Ingest,
    Detect,
    Body,
    Crop,
    SuperRes,
    Matte,
    Face,
    Camera,
    Likeness,
    Balance,
    Quality,
)
AGGREGATES: tuple[type[Aggregate], ...] = (Manifest, Shards, Report)
STEPS: tuple[type[Step], ...] = (*MAP_STAGES, *AGGREGATES)
STAGE_NAMES = tuple(step.name for step in STEPS)
BEFORE: tuple[type[Step], ...] = (Clips, Fetch)  # what decides the inputs; no stage, and in no fingerprint
SETTING_GROUPS = (*(step.name for step in BEFORE), *STAGE_NAMES)
S = TypeVar("S", bound=Step)


def stage_index(name: str) -> int:
    """Position of a stage by name; raises ConfigError with the nearest name."""
    if name not in STAGE_NAMES:
        raise ConfigError(f"no such stage: {unknown(name, STAGE_NAMES)}")
    return STAGE_NAMES.index(name)


def parameters(steps: Iterable[type[Step]] = (*BEFORE, *STEPS)) -> list[Setting]:
    """The parameters of stages and of what comes before them, each as `stage.parameter`."""
    return [one for step in steps for one in settings_of(step, f"{step.name}.")]


def build(given: Iterable[Given | str] = ()) -> Dag:
    """Stages with `stage.parameter=value` applied.

    Raises ConfigError on an unknown name or a wrong value, and AssetError where the user's model files are not there.
    """
    values = read(given, parameters())
    stages = tuple(configured(stage, values) for stage in MAP_STAGES)
    require_files(one for stage in stages for one in stage.own_files())
    return assemble(stages, tuple(configured(aggregate, values) for aggregate in AGGREGATES))


def gathering(given: Iterable[Given | str] = ()) -> Gathering:
    """What decides the inputs, with `clips.parameter=value` and `fetch.parameter=value` applied; raises ConfigError."""
    values = read(given, parameters())
    return Gathering(clips=configured(Clips, values), fetch=configured(Fetch, values))


def configured(step: type[S], values: Mapping[str, Any]) -> S:
    """Return a stage with the values that are its own."""
    return step(**{name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{step.name}.")})
