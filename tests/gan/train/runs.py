"""Runs of no size, for tests in this process and, as `python -m tests.gan.train.runs`, in several."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from gan.config import GeneratorConfig
from gan.data.stream import real_batches
from gan.face.face_coefficients import Coefficients, FaceEstimator
from gan.networks.critics import CriticConfig
from gan.presets import DeformationWeights, Preset
from gan.training.execution import Execution
from gan.training.loop import RunOptions
from gan.training.ranks import open_ranks
from gan.training.setup import Models, Run, open_run
from gan.training.steps import critic_gradients, generator_gradients

NETS = GeneratorConfig(
    image_size=16, ray_size=16, map_size=12, coarse_samples=8, fine_samples=24, map_samples=16, levels=4,
    deform_width=8, manifold_width=32, radiance_width=16, features=4, sr_width=4, sr_growth=4, sr_blocks=1,
)  # fmt: skip
ONE = Preset(
    portrait_px=16, face_px=16, generator=NETS, critic=CriticConfig(max_width=8, width_at_128=2, regress_camera=True),
    deformation=DeformationWeights(landmark=0.0, points=50, warmup_images=4, landmark_after_images=0),
    generator_lr=1e-3, critic_lr=1e-3, batch=2, images=8,
)  # fmt: skip
READS_FACES = replace(ONE, deformation=replace(ONE.deformation, landmark=1e4))
TWO = replace(
    ONE, stage=2, portrait_px=64, face_px=32, generator=replace(NETS, image_size=64), patch_width=4, consistency=3.0,
    images=2,
)  # fmt: skip
EVERY = RunOptions(Execution(micro=2), checkpoint_images=4, snapshot_images=8)
PLAIN = replace(EVERY, snapshot_images=0)
_SIZES = (80, 64)


class MeanColourReader(FaceEstimator):
    """Takes every coefficient for `gain` times the sum of the mean colour: an estimator to follow by hand."""

    def __init__(self, face_sha256: str, gain: float = 0.1) -> None:
        super().__init__()
        self.name, self.weights_sha256, self.face_sha256 = "mean colour", f"gain {gain}", face_sha256
        self.layer = nn.Linear(3, sum(_SIZES), bias=False)
        nn.init.constant_(self.layer.weight, gain)

    def forward(self, face_B3HW: Tensor) -> Coefficients:
        return Coefficients(*self.layer(face_B3HW.mean((2, 3))).split(_SIZES, 1))


def shipped_models(reads_faces: bool = False) -> Models:
    face = load_face()
    return Models(load_body(), face, MeanColourReader(face.sha256) if reads_faces else None)


def double_run(data: Path, preset: Preset, out: Path, begun_from: Path | None, execution: Execution) -> Run:
    """Open a run in float64, with an estimator."""
    run = open_run([data], preset, out, shipped_models(reads_faces=True), 0, begun_from, execution)
    for module in (run.state.generator, run.state.critics, run.sources.space, run.sources.estimator):
        if module is not None:
            module.double()
    return run


def gradients(run: Run, execution: Execution) -> dict[str, dict]:
    """Return losses and gradients of the critics and of the generator in the step that is due."""
    state, preset = run.state, run.state.key.preset
    micro, ranks = execution.micro_of(preset.batch), execution.ranks
    real = real_batches(run.dataset, 0, state.images_seen, micro, run.mirror, ranks.rank, ranks.world)
    with execution.computing():
        losses = critic_gradients(state, run.sources, real, execution)
        losses |= generator_gradients(state, run.sources, execution)
    named = itertools.chain(state.critics.named_parameters("critics"), state.generator.named_parameters())
    losses = {name: float(value) for name, value in losses.items()}
    return {"losses": losses, "gradients": {name: p.grad for name, p in named if p.grad is not None}}


def main(data: str, out: str, stage_one: str) -> None:
    """Write what every rank finds of both stages: the first one to `out`, the others beside it."""
    torch.set_num_threads(1)
    with open_ranks("cpu") as (ranks, device):
        execution = Execution(device, micro=1, ranks=ranks)
        for preset, begun_from in ((READS_FACES, None), (TWO, Path(stage_one))):
            run = double_run(Path(data), preset, Path(out), begun_from, execution)
            torch.save(gradients(run, execution), Path(out) / f"stage{preset.stage}-rank{ranks.rank}.pt")


if __name__ == "__main__":
    main(*sys.argv[1:])
