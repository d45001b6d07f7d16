"""The whole state of a run: networks, optimisers and how many images it has seen, saved as one file."""

import copy
import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dataprep.errors import AssetError
from dataprep.tables.store import atomic_file, unwritable
from gan.checkpoint import Bases, Checkpoint, load_into, read_checkpoint, save_checkpoint
from gan.networks.critics import Critics, CriticSizes
from gan.networks.pose_deformation import KERNEL_DHW, PoseSmoothing
from gan.presets import Preset
from gan.rendering.body_arrays import BodyArrays
from gan.rendering.generator import Generator
from gan.training.augment import Adaptation
from gan.training.beginnings import begin_at_body, begin_smooth
from gan.training.checkpoints import (
    GENERATOR_FILE,
    KEEP,
    SECOND_FILE,
    STATE_FILE,
    forget,
    numbered,
    publish,
    state_to_go_on_from,
)
from gan.training.errors import RunMismatch
from gan.training.execution import Execution

FORMAT = "shhq-hs training 2"


@dataclass(frozen=True)
class RunKey:
    """What a run is of: `data` is the sha256 of the shard indexes, `begun_from` that of a stage-1 state.

    `estimator` is the sha256 of the weights that Eq. 9 reads faces with, empty without any.
    """

    preset: Preset
    seed: int
    bases: Bases
    data: str
    begun_from: str = ""
    estimator: str = ""

    def as_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(eq=False)
class TrainState:
    """Networks, their running average, optimisers, and how many real images training has seen."""

    key: RunKey
    generator: Generator
    average: Generator
    critics: Critics
    generator_optimiser: torch.optim.Adam
    critic_optimiser: torch.optim.Adam
    scaler: torch.amp.GradScaler
    augment: Adaptation
    second: Generator | None = None  # a second average
    images_seen: int = 0

    @property
    def trained(self) -> list[torch.nn.Parameter]:
        """Parameters of the generator that this stage trains."""
        return [parameter for parameter in self.generator.parameters() if parameter.requires_grad]

    @property
    def is_paired(self) -> bool:
        """Whether the next step belongs to the paired start."""
        return self.images_seen < self.key.preset.paired.images

    @property
    def averages(self) -> list[tuple[Generator, float]]:
        """The averaged generators, each with the share of its own that it keeps a step."""
        preset = self.key.preset
        return [(self.average, preset.ema), *([(self.second, preset.second_ema)] if self.second else [])]

    @torch.no_grad()
    def update_average(self) -> None:
        for average, kept in self.averages:
            for mean, value in zip(average.parameters(), self.generator.parameters(), strict=True):
                mean.lerp_(value, 1 - kept)

    def begin_averages(self) -> None:
        """Let the averages begin as the generator is."""
        for average, _ in self.averages:
            average.load_state_dict(self.generator.state_dict())


def new_state(key: RunKey, body: BodyArrays, execution: Execution) -> TrainState:
    """Initialise networks from the seed. Stage 1 trains everything but U, stage 2 U alone (paper section 6)."""
    preset = key.preset
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key.seed)
        subset = body.upper_body(preset.generator.outside_weight_max)[:: preset.nearest_step]
        generator = Generator(body, preset.generator, subset)
        begin_smooth(generator.radiance_net, preset.first_waves, preset.first_styles)
        critics = Critics(
            CriticSizes(preset.portrait_px, preset.face_px),
            preset.critic,
            preset.with_face,
            preset.with_torso,
            preset.patch_width,
        )
    if preset.begins_at_body and preset.stage == 1:
        begin_at_body(generator, body, key.seed)
    if not preset.with_pose_smoothing:
        leave_transforms_as_they_are(generator.smoother)
    generator, critics = generator.to(execution.where), critics.to(execution.where)
    for name, parameter in generator.named_parameters():
        parameter.requires_grad_(trains(name, preset))
    average = copy.deepcopy(generator).requires_grad_(False)
    return TrainState(
        key,
        generator,
        average,
        critics,
        torch.optim.Adam(_at_their_rates(generator, preset), preset.generator_lr, betas=preset.adam_betas),
        torch.optim.Adam(critics.parameters(), preset.critic_lr, betas=preset.adam_betas),
        execution.scaler(),
        Adaptation(preset.augment),
        copy.deepcopy(average) if preset.second_ema else None,
    )


def _at_their_rates(generator: Generator, preset: Preset) -> list[dict[str, Any]]:
    """What is trained, in two groups: M and D_e, which move space, may learn more slowly."""
    named = [(name, p) for name, p in generator.named_parameters() if p.requires_grad]
    shape = [p for name, p in named if name.startswith(("sample_net.", "deform_net."))]
    others = [p for name, p in named if not name.startswith(("sample_net.", "deform_net."))]
    slow = {"params": shape, "lr": preset.generator_lr * preset.shape_lr_factor}
    return [{"params": others}, slow] if shape else [{"params": others}]


def trains(parameter: str, preset: Preset) -> bool:
    """Whether a stage trains a parameter of the generator, by name."""
    if preset.stage == 2:
        return parameter.startswith("sr_net.")
    return not parameter.startswith("sr_net." if preset.with_pose_smoothing else ("sr_net.", "smoother."))


@torch.no_grad()
def leave_transforms_as_they_are(smoother: PoseSmoothing) -> None:
    """Turn D_p's kernels into single ones: what is left of it doubles the resolution and smooths nothing."""
    for block in (smoother.conv_block1, smoother.conv_block2):
        block.weight.zero_()
        depth, height, width = (side // 2 for side in KERNEL_DHW)
        block.weight[:, 0, depth, height, width] = 1


def begin_from(state: TrainState, given: Path) -> None:
    """Take over the networks of another run, or of a checkpoint file; optimisers and the number of images begin anew.

    Stage 2 takes the average of stage 1, as its geometry is frozen from now on, and has fresh critics (paper section
    6). A run of the same stage is gone on with, with other settings: its generator, average and critics. A checkpoint
    file holds the average alone: critics are fresh.
    """
    if given.is_file():
        _begin_from_file(state, read_checkpoint(given))
        return
    content = read_state(state_to_go_on_from(given) or given / STATE_FILE)
    if content["key"]["bases"] != state.key.as_dict()["bases"]:
        raise RunMismatch(f"{given} was trained with other body or face models: {content['key']['bases']}")
    stage, wanted = content["key"]["preset"]["stage"], state.key.preset.stage
    if stage > wanted:
        raise RunMismatch(f"{given} is a run of stage {stage}; stage {wanted} begins from nothing or from stage 1")
    try:
        state.average.load_state_dict(content["average"])
        state.generator.load_state_dict(content["generator" if stage == wanted else "average"])
        if state.second is not None:
            state.second.load_state_dict(content["second" if stage == wanted and "second" in content else "average"])
        if stage == wanted:
            state.critics.load_state_dict(content["critics"])
    except RuntimeError as error:
        raise RunMismatch(f"{given} holds networks of other sizes than this preset's ({error})") from error


def _begin_from_file(state: TrainState, checkpoint: Checkpoint) -> None:
    """Raise BasisError on other body or face models, CheckpointError on networks of other sizes."""
    load_into(state.generator, checkpoint, state.key.bases)
    state.begin_averages()


def save_state(state: TrainState, folder: Path, keep: int = KEEP, best: Collection[int] = ()) -> None:
    """Write the averaged generators for `animate`, then the state; each file replaces its predecessor at once.

    The state comes last: a run that is killed in between does the same steps again and writes all. The last `keep`
    checkpoints stay under their numbers, and those of `best`.
    """
    content = {
        "format": FORMAT,
        "key": state.key.as_dict(),
        "images_seen": state.images_seen,
        **{name: getattr(state, name).state_dict() for name in _stateful(state)},
    }
    whole = numbered(folder, STATE_FILE, state.images_seen)
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        for name, (average, _) in zip((GENERATOR_FILE, SECOND_FILE), state.averages, strict=False):
            generator = numbered(folder, name, state.images_seen)
            save_checkpoint(generator, average, state.key.bases)
            publish(generator, folder / name)
        with atomic_file(whole) as file:
            torch.save(content, file)
        publish(whole, folder / STATE_FILE)
        forget(folder, keep, best)
    except OSError as error:
        raise unwritable(folder / STATE_FILE, error) from error


def _stateful(state: TrainState) -> list[str]:
    """The parts of a state that are saved; what an option adds is there only with the option."""
    always = ["generator", "average", "critics", "generator_optimiser", "critic_optimiser", "scaler"]
    added = {"second": state.second is not None, "augment": state.key.preset.augment.mode != "off"}
    return [*always, *(name for name, there in added.items() if there)]


def resume(state: TrainState, path: Path) -> None:
    """Continue from a state of the same run; RunMismatch names what differs. The number of images may change.

    An entry that the state does not know is newer than it, and was what it is by default.
    """
    content = read_state(path)
    before, now = (dict(_flat(key)) for key in (content["key"], state.key.as_dict()))
    before = {f"preset.{name}": value for name, value in _flat(dataclasses.asdict(Preset()))} | before
    differing = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if differing := [name for name in differing if name != "preset.images"]:
        said = "; ".join(f"{name} was {before.get(name)}, is {now.get(name)}" for name in differing[:4])
        raise RunMismatch(f"{path} is of another run: {said}. Choose another --out, or the run's own settings")
    for name in _stateful(state):
        if content[name] or name != "scaler":  # without float16 there is no scale to go on with
            getattr(state, name).load_state_dict(content[name])
    state.images_seen = content["images_seen"]


def read_state(path: Path) -> Any:
    """Read a state on the CPU without unpickling any code."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise AssetError(f"{path}: no training state that can be read safely ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise AssetError(f"{path}: not a training state of this version ('{FORMAT}')")
    return content


def _flat(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if isinstance(tree, dict):
        return [row for name, value in tree.items() for row in _flat(value, f"{prefix}.{name}" if prefix else name)]
    return [(prefix, list(tree) if isinstance(tree, tuple) else tree)]
