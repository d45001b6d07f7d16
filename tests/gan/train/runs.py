"""Runs of no size, for tests in this process and, as `python -m tests.gan.train.runs`, in several."""

import itertools
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from gan.config import GeneratorConfig
from gan.data.stream import real_batches
from gan.evaluation.feature_networks import offline_networks
from gan.evaluation.result_chunks import CHUNK
from gan.evaluation.training_meter import TrainingMeter
from gan.face.face_coefficients import Coefficients, FaceEstimator
from gan.networks.critics import CriticConfig
from gan.presets import Augmentation, DeformationWeights, Growth, Preset, RateSchedule
from gan.training.execution import Execution
from gan.training.loop import RunOptions
from gan.training.ranks import open_ranks
from gan.training.setup import Models, Run, open_run
from gan.training.steps import critic_gradients, generator_gradients, step

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
# Every option at once, at sizes that may grow: 24 pixels halve to 12 rays.
_GROWING = replace(NETS, image_size=24, ray_size=24)
ALL = replace(
    READS_FACES, portrait_px=24, face_px=24, generator=_GROWING, critic=replace(ONE.critic, min_side=3), r1_every=3,
    camera_weight=5.0, second_ema=0.5, growth=Growth(first_px=12, images=4),
    schedule=RateSchedule("cosine", warmup_images=4, after_images=2, over_images=8, last=0.1),
    augment=Augmentation("adaptive", probability=0.5, target=0.0, every=2, over_images=40),
)  # fmt: skip
EVERY = RunOptions(Execution(micro=2), checkpoint_images=4, snapshot_images=8)
PLAIN = replace(EVERY, snapshot_images=0)
OPTION_STEPS = 3
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
    state, sources = run.state, run.sources
    for module in (state.generator, state.average, state.second, state.critics, sources.space, sources.estimator):
        if module is not None:
            module.double()
    return run


def gradients(run: Run, execution: Execution) -> dict[str, dict]:
    """Return losses and gradients of the critics and of the generator in the step that is due."""
    state, preset = run.state, run.state.key.preset
    micro, ranks = execution.micro_of(preset.batch), execution.ranks
    real = real_batches(run.dataset, 0, state.images_seen, micro, run.mirror, ranks.rank, ranks.world)
    losses = critic_gradients(state, run.sources, real, execution)
    losses |= generator_gradients(state, run.sources, execution)
    named = itertools.chain(state.critics.named_parameters("critics"), state.generator.named_parameters())
    return {"losses": losses, "gradients": {name: p.grad for name, p in named if p.grad is not None}}


def steps(run: Run, execution: Execution, count: int) -> dict[str, Any]:
    """Do some steps; returns their logs, the weights, and how likely changes of pictures are in the end."""
    state, micro, ranks = run.state, execution.micro_of(run.state.key.preset.batch), execution.ranks
    real = real_batches(run.dataset, 0, state.images_seen, micro, run.mirror, ranks.rank, ranks.world)
    logs = [step(state, run.sources, real, execution) for _ in range(count)]
    named = itertools.chain(state.critics.named_parameters("critics"), state.generator.named_parameters())
    weights = {name: value.detach() for name, value in named}
    return {"logs": logs, "weights": weights, "augment": state.augment.state_dict()}


def main(data: str, out: str, stage_one: str) -> None:
    """Write what every rank finds of both stages: the first one to `out`, the others beside it."""
    torch.set_num_threads(1)
    with open_ranks("cpu") as (ranks, device):
        execution = Execution(device, micro=1, ranks=ranks)
        for preset, begun_from in ((READS_FACES, None), (TWO, Path(stage_one))):
            run = double_run(Path(data), preset, Path(out), begun_from, execution)
            torch.save(gradients(run, execution), Path(out) / f"stage{preset.stage}-rank{ranks.rank}.pt")
        run = double_run(Path(data), ALL, Path(out), None, execution)
        torch.save(steps(run, execution, OPTION_STEPS), Path(out) / f"options-rank{ranks.rank}.pt")


def meter_of(data: Path, cache: Path) -> TrainingMeter:
    """Three files of results: ranks have unequal parts of them."""
    return TrainingMeter((data,), ONE, 0, 2 * CHUNK + 2, 100, offline_networks(), cache)


def measure(data: str, out: str, run: str) -> None:
    """Write what every rank measures of a run."""
    torch.set_num_threads(1)
    with open_ranks("cpu") as (ranks, device):
        execution = Execution(device, micro=1, ranks=ranks)
        state = open_run([Path(data)], ONE, Path(run), shipped_models(), 0, None, execution).state
        numbers = meter_of(Path(data), Path(out))([state.average], execution, lambda: False)
        torch.save(numbers, Path(out) / f"measured-rank{ranks.rank}.pt")


if __name__ == "__main__":
    measure(*sys.argv[2:]) if sys.argv[1] == "measure" else main(*sys.argv[1:])
