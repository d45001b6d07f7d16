"""The generator as a run began it: made again from the run's preset and seed, to hold the trained one against."""

import dataclasses
from pathlib import Path
from typing import Any

from dataprep.models.body.smpl import BodyModel
from gan.checkpoint import Bases, save_checkpoint
from gan.presets import Preset
from gan.rendering.body_arrays import body_arrays
from gan.training.checkpoints import state_to_go_on_from
from gan.training.execution import Execution
from gan.training.state import RunKey, new_state, read_state


def save_initial(run: Path, body: BodyModel, out: Path) -> Path | None:
    """Write the initial generator of a stage-1 run below `out`; None for other runs and bare checkpoints."""
    path = state_to_go_on_from(run)
    if path is None:
        return None
    key = read_state(path)["key"]
    preset, bases = filled(Preset(), key["preset"]), Bases(**key["bases"])
    if preset.stage != 1 or key["begun_from"]:
        return None
    begun = new_state(RunKey(preset, key["seed"], bases, key["data"]), body_arrays(body), Execution())
    out.mkdir(parents=True, exist_ok=True)
    path = out / "initial.pt"
    save_checkpoint(path, begun.generator, bases)
    return path


def filled(default: Any, values: dict[str, Any]) -> Any:
    """Return a dataclass with the values of `dataclasses.asdict`; entries that a file lacks stay as they are."""
    known = {field.name: getattr(default, field.name) for field in dataclasses.fields(default)}
    changes = {
        name: filled(known[name], value) if dataclasses.is_dataclass(known[name]) else value
        for name, value in values.items()
        if name in known
    }
    return dataclasses.replace(default, **changes)
