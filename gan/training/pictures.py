"""What the generator makes of codes in training: both cameras' pictures, and the losses on its deformations.

Suffixes: B batch, N points, H W pixels, K code values.
"""

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from gan.config import GeneratorConfig
from gan.data.priors import Codes
from gan.face.face_space import FaceSpace
from gan.losses import (
    average_pool,
    expression_smooth_loss,
    image_consistency_loss,
    imitation_loss,
    map_consistency_loss,
    minimal_loss,
    nearby_points,
    pose_smooth_loss,
)
from gan.networks.pose_deformation import PoseSmoothing
from gan.presets import DeformationWeights, Preset
from gan.rendering.cameras import ray_samples
from gan.rendering.generator import Generator, Identity
from gan.rendering.skinning import apply_field, carry_with_head, transform_field
from gan.training.at_hits import render_people_at_hits
from gan.training.face_crop import crop_face
from gan.training.growth import enlarged
from gan.training.people import render_people, shade_people


class Pictures(NamedTuple):
    """Portraits and face renders of the same people; `consistency` is the LR-HR loss (zero in stage 1)."""

    portrait_B3HW: Tensor
    face_B3HW: Tensor
    consistency: Tensor


def make_pictures(
    generator: Generator,
    codes: Codes,
    preset: Preset,
    dtype: torch.dtype = torch.float32,
    reads_faces: bool = False,
    rays: int | None = None,
) -> Pictures:
    """Render every code with both cameras, one identity after another; U works in `dtype`.

    Where nobody looks at faces (no D_face, and not `reads_faces`) the portrait stands in for them unseen. `rays` a side
    are fewer than the pictures' pixels while stage 1 grows (gan.training.growth); the pictures are made larger.
    """
    config = generator.config
    if preset.stage == 1 and rays:
        config = dataclasses.replace(config, ray_size=rays, image_size=rays)
    made = _made_by(generator, codes, preset, dtype, preset.with_face or reads_faces, config)
    portrait_B3HW, face_B3HW = enlarged(made.portrait_B3HW, preset.portrait_px), made.face_B3HW
    face_B3HW = portrait_B3HW if face_B3HW is made.portrait_B3HW else enlarged(face_B3HW, preset.face_px)
    return Pictures(portrait_B3HW, face_B3HW, made.consistency)


def _made_by(
    generator: Generator, codes: Codes, preset: Preset, dtype: torch.dtype, with_face: bool, config: GeneratorConfig
) -> Pictures:
    """Render as `make_pictures` says, with the rays of `config`."""
    if preset.stage == 1 and preset.shades_at_hits and not preset.cropped_face:
        return _at_hits(generator, codes, with_face, config)
    if preset.stage == 1 and not preset.cropped_face:
        return _all_at_once(generator, codes, with_face, config)
    portraits, faces, consistency = [], [], []
    for one in split(codes):
        maps = generator.radiance_maps(one.z_id_BK, one.noise_BK, None, dtype, high=preset.stage == 2)
        identity = Identity(one.z_id_BK, one.betas_BK, maps)
        portrait = generator.render(identity, one.z_exp_BK, one.pose_BP3, one.camera_B2, config=config)
        portraits.append(portrait.image_B3HW)
        if with_face:
            faces.append(_face(generator, identity, one, preset, portrait.image_B3HW))
        if maps.high_L4HW is not None:
            same_maps = map_consistency_loss(maps.high_L4HW, maps.low_L4HW)
            consistency.append(same_maps + image_consistency_loss(portrait.image_B3HW, portrait.image_low_B3HW))
    total = torch.stack(consistency).mean() if consistency else portraits[0].new_zeros(())
    portrait_B3HW = torch.cat(portraits)
    return Pictures(portrait_B3HW, torch.cat(faces) if faces else portrait_B3HW, total)


def _all_at_once(generator: Generator, codes: Codes, with_face: bool, config: GeneratorConfig) -> Pictures:
    maps_BL4HW = shade_people(generator, codes.z_id_BK, codes.noise_BK)
    portrait_B3HW = render_people(generator, maps_BL4HW, codes, "portrait", config)
    face_B3HW = render_people(generator, maps_BL4HW, codes, "face", config) if with_face else portrait_B3HW
    return Pictures(portrait_B3HW, face_B3HW, portrait_B3HW.new_zeros(()))


def _at_hits(generator: Generator, codes: Codes, with_face: bool, config: GeneratorConfig) -> Pictures:
    style = generator.radiance_net.style(torch.cat([codes.z_id_BK, codes.noise_BK], 1))
    portrait_B3HW = render_people_at_hits(generator, codes, style, "portrait", config)
    face_B3HW = render_people_at_hits(generator, codes, style, "face", config) if with_face else portrait_B3HW
    return Pictures(portrait_B3HW, face_B3HW, portrait_B3HW.new_zeros(()))


def _face(generator: Generator, identity: Identity, one: Codes, preset: Preset, portrait_13HW: Tensor) -> Tensor:
    """Render with the face camera, never crop (paper section 4); `cropped_face` asks what that is good for."""
    if preset.cropped_face:
        head_B34 = generator.body(one.betas_BK, one.pose_BP3).posed_from_canonical_head_B34
        cameras = generator.cameras
        return crop_face(portrait_13HW, one.camera_B2, head_B34, cameras["portrait"], cameras["face"], preset.face_px)
    config = dataclasses.replace(generator.config, image_size=preset.face_px)
    return generator.render(identity, one.z_exp_BK, one.pose_BP3, one.face_camera_B2, "face", config=config).image_B3HW


class DeformationLosses(NamedTuple):
    """Unweighted means over the batch."""

    imitation: Tensor
    pose_smooth: Tensor
    expression_smooth: Tensor
    minimal: Tensor


def deformation_losses(
    generator: Generator, space: FaceSpace, codes: Codes, weights: DeformationWeights, seeds: list[int]
) -> DeformationLosses:
    """Eqs. 10-13 on samples of the face camera's rays; `seeds` choose the points and offsets of each code.

    D_e's displacement is compared with dx_ref in the units in which a hit uses it, face units [assumed; see
    expression_deformation.search_coordinates]. Eqs. 10, 12 and 13 train D_e alone, so the points carry no gradient.
    """
    fixed = average_pool().to(codes.z_id_BK)
    rows = []
    for one, seed in zip(split(codes), seeds, strict=True):
        random = torch.Generator().manual_seed(seed)
        neutral_1N3, pose_smooth = _face_rays(generator, one, fixed)
        chosen = torch.randint(neutral_1N3.shape[1], (weights.points,), generator=random)
        points_1N3 = neutral_1N3[:, chosen.to(neutral_1N3.device)].detach()
        style = generator.deform_net.style(one.z_id_BK, one.z_exp_BK)
        move_1N3 = generator.deform_net(points_1N3, style)
        nearby_1N3 = generator.deform_net(nearby_points(points_1N3, weights.nearby_spread, random), style)
        reference_1N3 = space.reference_displacement(points_1N3, one.z_id_BK, one.z_exp_BK)
        rows.append(
            torch.stack(
                [
                    imitation_loss(move_1N3, reference_1N3),
                    pose_smooth,
                    expression_smooth_loss(move_1N3, nearby_1N3),
                    minimal_loss(move_1N3),
                ]
            )
        )
    return DeformationLosses(*torch.stack(rows).mean(0))


def _face_rays(generator: Generator, one: Codes, fixed: PoseSmoothing) -> tuple[Tensor, Tensor]:
    """Return the neutral-pose samples of the face camera's rays, and Eq. 11 on their transforms."""
    config, camera = generator.config, generator.cameras["face"]
    body = generator.body(one.betas_BK, one.pose_BP3)
    rays = ray_samples(camera, one.face_camera_B2, config.ray_size, config.coarse_samples)
    target = carry_with_head(rays, body.posed_from_canonical_head_B34)
    field = transform_field(target, body)
    neutral = apply_field(field, target, generator.smoother)
    return neutral.flatten(1, 3), pose_smooth_loss(field, generator.smoother, fixed)


def split(codes: Codes) -> list[Codes]:
    """Return codes of one row each."""
    return [Codes(*parts) for parts in zip(*(values.split(1) for values in codes), strict=True)]
