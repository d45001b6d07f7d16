"""What a photograph costs in each stage, as far as it is known before the stage ran: only estimates stand on it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Seconds of one core a photograph, in the report's timing.json of sample builds on an AVX2 machine. Only their ratios
# count once the first stage has been measured.
_ASSUMED_S = {
    "ingest": 0.02,
    "detect": 0.42,
    "body": 0.14,
    "crop": 0.035,
    "superres": 0.8,
    "matte": 0.42,
    "face": 0.08,
    "camera": 0.01,
    "likeness": 0.35,
    "balance": 0.01,
    "quality": 0.035,
}
_X4PLUS_S = 8.7
# Bytes an input leaves in a stage's parts, on the sample build; a quarter of its inputs are rejected.
_ASSUMED_BYTES = {
    "ingest": 2_600,
    "detect": 35_300,
    "body": 5_500,
    "crop": 60_600,
    "superres": 200_000,
    "matte": 139_100,
    "face": 57_200,
    "camera": 3_600,
    "likeness": 1_200,
    "balance": 1_400,
    "quality": 6_400,
}
# Seconds of one core: to begin with, and an input. The report draws only so many inputs' pictures.
_OUTPUTS_S = {"manifest": (0.8, 0.0007), "shards": (0.5, 0.001), "report": (3.0, 0.0005)}
_REPORT_PICTURES, _REPORT_PICTURE_S = 1000, 0.08
# Bytes an input.
OUTPUTS_BYTES = {"manifest": 6_700, "shards": 178_200, "report": 51_300}


def assumed_s(stages: Iterable[Any]) -> dict[str, float]:
    """Seconds of one core a photograph by stage; stages that nobody measured are left out."""
    found = {stage.name: _ASSUMED_S[stage.name] for stage in stages if stage.name in _ASSUMED_S}
    large = any(stage.name == "superres" and getattr(stage, "model", "") == "x4plus" for stage in stages)
    return found | ({"superres": _X4PLUS_S} if large else {})


def assumed_output_s(name: str, inputs: int) -> float:
    """Seconds of one core that an output of so many inputs takes; 0 where nobody measured."""
    begun_s, each_s = _OUTPUTS_S.get(name, (0.0, 0.0))
    pictures = min(inputs, _REPORT_PICTURES) if name == "report" else 0
    return begun_s + each_s * inputs + _REPORT_PICTURE_S * pictures


def assumed_bytes(stage: str) -> float:
    """Bytes a photograph that a stage of this name leaves; 0 where nobody measured."""
    return _ASSUMED_BYTES.get(stage, 0.0)
