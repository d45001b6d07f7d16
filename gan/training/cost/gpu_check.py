"""What `make check-gpu` found on a machine: one JSON file, written again after every check."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from dataprep.errors import ConfigError, StoreError
from dataprep.files.untrusted import parse_json
from dataprep.tables.store import write_json

FORMAT = "shhq-hs gpu check 1"
DEFAULT_FILE = Path("build/gpu-check.json")

Status = Literal["ok", "failed", "skipped"]
Number = float | int | str


@dataclass(frozen=True)
class CheckResult:
    """How one check ended. `reason` says why it failed or was skipped; `peak_gb` is the device's memory, or RAM."""

    name: str
    status: Status
    reason: str = ""
    seconds: float = 0.0
    peak_gb: float = 0.0
    numbers: dict[str, Number] = field(default_factory=dict)


@dataclass(frozen=True)
class GpuCheck:
    """All of it; `machine` names the GPU, its driver, torch and CUDA, `settings` the sizes and types tried."""

    machine: dict[str, Number]
    settings: dict[str, Number]
    checks: tuple[CheckResult, ...] = ()

    @property
    def device(self) -> str:
        return str(self.machine.get("name", "an unknown machine"))

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        return tuple(check for check in self.checks if check.status == "failed")


class TrainingRate(NamedTuple):
    """How fast a step of a preset was."""

    preset: str
    precision: str
    micro: int
    images_per_second: float


def training_rates(found: GpuCheck) -> Iterator[TrainingRate]:
    """Yield what was measured of training steps that worked."""
    for check in found.checks:
        said = check.numbers
        if check.status == "ok" and "images_per_second" in said and "preset" in said:
            yield TrainingRate(
                str(said["preset"]), str(said["precision"]), int(said["micro"]), float(said["images_per_second"])
            )


def write_check(path: Path, found: GpuCheck) -> None:
    """Write all of it, at once."""
    write_json(path, {"format": FORMAT, **dataclasses.asdict(found)})


def read_check(path: Path) -> GpuCheck:
    """Read what `write_check` wrote; ConfigError says what is wrong with the file."""
    try:
        content: Any = parse_json(path.read_bytes())
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        checks = tuple(CheckResult(**check) for check in content["checks"])
        return GpuCheck(dict(content["machine"]), dict(content["settings"]), checks)
    except (OSError, StoreError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path}: expected the JSON file of `make check-gpu`, format {FORMAT!r} ({error}); run that, or leave "
            "--gpu-check out"
        ) from error
