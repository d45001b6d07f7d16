"""Both cameras from one call: the portrait, and the face of the same frame as seen from where the portrait camera is.

Suffixes: B frames, P posed joints, K code values.
"""

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

from gan.config import GeneratorConfig
from gan.rendering.cameras import camera_origin
from gan.rendering.generator import Frames, Generator, Identity, View


def face_label(
    generator: Generator,
    betas_1K: Float[Tensor, "1 10"],
    pose_BP3: Float[Tensor, "b 6 3"],
    camera_B2: Float[Tensor, "b 2"],
) -> Float[Tensor, "b 2"]:
    """Return pitch and yaw, in the posed head's own frame, of a face camera that looks as the portrait camera does.

    That is how photographs are labelled: one camera, its direction said once against the chest and once against the
    head. Roll of the head is left in the direction alone, since the camera's up is the head's.
    """
    body = generator.body(betas_1K.expand(len(pose_BP3), -1), pose_BP3)
    towards_camera_B31 = camera_origin(camera_B2, 1.0)[..., None]
    x, y, z = (body.posed_from_canonical_head_B34[..., :3].mT @ towards_camera_B31)[..., 0].unbind(-1)
    return torch.stack([y.clamp(-1, 1).arccos(), torch.atan2(z, x)], -1)


def face_config(config: GeneratorConfig) -> GeneratorConfig:
    """Return the settings of the face image: half the portrait's side, as in training."""
    return dataclasses.replace(config, image_size=max(config.image_size // 2, config.ray_size))


@torch.inference_mode()
def render_views(
    generator: Generator,
    identity: Identity,
    z_exp_BK: Float[Tensor, "b 64"],
    pose_BP3: Float[Tensor, "b 6 3"],
    camera_B2: Float[Tensor, "b 2"],
    views: tuple[View, ...] = ("portrait", "face"),
    config: GeneratorConfig | None = None,
) -> dict[View, Frames]:
    """Render the same frames through the cameras asked for; `config` changes sizes, as `gan.config.preview` does."""
    config = config or generator.config
    out: dict[View, Frames] = {}
    if "portrait" in views:
        out["portrait"] = generator.frames(identity, z_exp_BK, pose_BP3, camera_B2, "portrait", config)
    if "face" in views:
        label_B2 = face_label(generator, identity.betas_1K, pose_BP3, camera_B2)
        out["face"] = generator.frames(identity, z_exp_BK, pose_BP3, label_B2, "face", face_config(config))
    return out
