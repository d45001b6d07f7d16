"""The generator as a run began it: made again from the run's seed, to hold the trained one against."""

from pathlib import Path

import torch

from dataprep.models.smpl import BodyModel
from gan.animate_setup import body_arrays
from gan.checkpoint import Bases, save_checkpoint
from gan.config import GeneratorConfig
from gan.generator import Generator
from gan.training.state import STATE_FILE, leave_transforms_as_they_are, read_state


def save_initial(run: Path, body: BodyModel, out: Path) -> Path | None:
    """Write the initial generator of a stage-1 run below `out`; None for other runs and bare checkpoints."""
    if not (run / STATE_FILE).is_file():
        return None
    key = read_state(run / STATE_FILE)["key"]
    if key["preset"]["stage"] != 1 or key["begun_from"]:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key["seed"])  # as gan.training.state.new_state does
        generator = Generator(body_arrays(body), GeneratorConfig(**key["preset"]["generator"]))
    if not key["preset"]["with_pose_smoothing"]:
        leave_transforms_as_they_are(generator.smoother)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "initial.pt"
    save_checkpoint(path, generator, Bases(**key["bases"]))
    return path
