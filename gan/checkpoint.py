"""Loading the authors' weights and ours; refusing coefficients of other bases.

The published file is a plain state dict. Ours holds the same names under `state`, with the configuration and the bases.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dataprep.errors import AssetError
from dataprep.tables.store import atomic_file
from gan.config import GeneratorConfig
from gan.errors import BasisError, CheckpointError
from gan.rendering.generator import Generator

FORMAT = "shhq-hs generator 1"
SMPL_BUFFERS = "renderer.smpl_model."  # SMPL's own arrays: the user's file takes their place
SMOOTHER, SMOOTHER_ALIAS = "smoother.", "renderer.smooth_layer."  # one module under two names
SMPL_VERTICES = 6890
PUBLISHED_BODIES = ("smpl", "smpl-neutral", "smpl_neutral", "basicmodel_neutral_lbs_10_207_0_v1.0.0")
PUBLISHED_FACES = ("bfm", "bfm09", "bfm2009", "bfm_model_front")


@dataclasses.dataclass(frozen=True)
class Bases:
    """The body and the face model whose coefficients a set of labels, or a generator, speaks."""

    body_name: str
    body_sha256: str
    face_name: str
    face_sha256: str

    def __str__(self) -> str:
        return f"{self.body_name} ({self.body_sha256[:12]}) + {self.face_name} ({self.face_sha256[:12]})"


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A file read but not yet put into a generator; `bases` None means the authors' weights: SMPL and BFM."""

    path: Path
    state: Mapping[str, Tensor]
    config: GeneratorConfig
    bases: Bases | None

    @property
    def published(self) -> bool:
        return self.bases is None


def read_checkpoint(path: Path) -> Checkpoint:
    """Read the authors' plain state dict or a file of ours, on the CPU, without unpickling any code."""
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such checkpoint. Pass the authors' sshq512.pt or a file that training wrote."
        )
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise CheckpointError(f"{path}: not a checkpoint that can be read safely ({error})") from error
    if isinstance(content, dict) and content.get("format") == FORMAT:
        return Checkpoint(path, content["state"], GeneratorConfig(**content["config"]), Bases(**content["bases"]))
    if isinstance(content, dict) and content and all(isinstance(value, Tensor) for value in content.values()):
        return Checkpoint(path, content, GeneratorConfig(), None)
    raise CheckpointError(f"{path}: holds a {type(content).__name__}, expected a state dict or a '{FORMAT}' file")


def load_into(generator: Generator, checkpoint: Checkpoint, labels: Bases | None = None) -> None:
    """Fill the generator; `labels` names the bases of the coefficients that will drive it, if any are at hand."""
    if labels is not None:
        require_bases(checkpoint, labels)
    load_state(generator, checkpoint.state, str(checkpoint.path))


def require_bases(checkpoint: Checkpoint, labels: Bases) -> None:
    """Raise BasisError unless labels of these bases mean to the checkpoint what they say."""
    if checkpoint.bases is not None:
        if labels != checkpoint.bases:
            raise BasisError(
                f"{checkpoint.path} was trained on labels of {checkpoint.bases}, these are labels of {labels}. "
                "Coefficients of different bases never mix: rebuild the labels with those models or train on these."
            )
        return
    if wrong := _not_published(labels):
        raise BasisError(
            f"{checkpoint.path} holds the authors' weights, which expect SMPL and BFM coefficients; these labels "
            f"were made with the {wrong}. Rebuild them with SMPL_NEUTRAL.pkl and "
            "BFM_model_front.mat ('shhq-hs assets' says where to get them), or use a checkpoint trained on these."
        )


def require_published_names(checkpoint: Checkpoint, what: str) -> None:
    """Raise BasisError unless SMPL and BFM coefficients that name no file, as the authors' do, mean something to it."""
    if checkpoint.bases is not None and (wrong := _not_published(checkpoint.bases)):
        raise BasisError(
            f"{what}: the authors' tables hold SMPL and BFM coefficients, {checkpoint.path} was trained with the "
            f"{wrong}. Coefficients of different bases never mix: pass the data set it was trained on instead, by "
            "--labels OUT."
        )


def _not_published(bases: Bases) -> str:
    """Return which models are others than the authors', in words."""
    parts = ("body", bases.body_name, PUBLISHED_BODIES), ("face", bases.face_name, PUBLISHED_FACES)
    return " and the ".join(f"{part} model '{name}'" for part, name, known in parts if name.lower() not in known)


def load_state(generator: Generator, state: Mapping[str, Tensor], source: str = "state dict") -> None:
    """Load published names strictly; SMPL's buffers are ignored and the smoother's two copies must agree."""
    kept = {name: value for name, value in state.items() if not name.startswith(SMPL_BUFFERS)}
    for alias in [name for name in kept if name.startswith(SMOOTHER_ALIAS)]:
        name = SMOOTHER + alias.removeprefix(SMOOTHER_ALIAS)
        value = kept.pop(alias)
        if not torch.equal(kept.setdefault(name, value), value):
            raise CheckpointError(f"{source}: {name} and {alias} are one module but hold different weights")
    own = generator.state_dict()
    problems = [f"missing {name}" for name in own.keys() - kept.keys()]
    problems += [f"unknown {name}" for name in kept.keys() - own.keys()]
    problems += [
        f"{name} is {tuple(kept[name].shape)}, expected {tuple(own[name].shape)}"
        for name in own.keys() & kept.keys()
        if own[name].shape != kept[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:5])
        raise CheckpointError(f"{source}: {len(problems)} entries do not fit this generator: {shown}")
    generator.load_state_dict(kept)


def published_state(generator: Generator) -> dict[str, Tensor]:
    """Return the weights under the published names, the smoother's second copy included."""
    state = {name: value.detach().cpu().contiguous() for name, value in generator.state_dict().items()}
    twins = {
        SMOOTHER_ALIAS + name.removeprefix(SMOOTHER): value
        for name, value in state.items()
        if name.startswith(SMOOTHER)
    }
    return state | twins


def save_checkpoint(path: Path, generator: Generator, bases: Bases) -> None:
    """Write a checkpoint of ours: published names, configuration and bases."""
    content = {
        "format": FORMAT,
        "config": dataclasses.asdict(generator.config),
        "bases": dataclasses.asdict(bases),
        "state": published_state(generator),
    }
    with atomic_file(path) as file:
        torch.save(content, file)


def require_smpl(vertices: int) -> None:
    """Raise AssetError where the authors' weights meet a body of another topology than SMPL's."""
    if vertices != SMPL_VERTICES:
        raise AssetError(
            f"the authors' weights need SMPL's {SMPL_VERTICES} vertices, this body has {vertices}: "
            "put SMPL_NEUTRAL.pkl into the assets folder ('shhq-hs assets')"
        )
