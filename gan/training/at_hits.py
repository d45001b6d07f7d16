"""Stage 1's pictures with phi asked at the hits themselves, as GRAM does, and not through radiance maps.

A map of n pixels a side shows features no finer than its pixels: at 32 a face has 15 of them, and its eyes go under.
At the hits there is no such limit, and of a 64-pixel portrait they are fewer (24,000) than the pixels of a good map
(110,000 at 96). The published generator renders through maps, and so does ours once it is trained; with maps as fine as
the portrait the two look alike.

Suffixes: B people, R rays, Q coarse samples of a ray, L levels, N hits, C channels.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gan.config import GeneratorConfig
from gan.data.priors import Codes
from gan.networks.film import FilmStyle
from gan.rendering.cameras import camera_origin
from gan.rendering.compositing import composite, distance
from gan.rendering.deformed_rays import DeformedField, hit_manifolds
from gan.rendering.generator import Generator, View
from gan.rendering.radiance_maps import opacity
from gan.training.people import points_at_a_time


class Hits(NamedTuple):
    """Where rays meet the manifolds in canonical space, and which of those are hits at all."""

    points_RL3: Tensor
    valid_RL: Tensor


def render_people_at_hits(
    generator: Generator, codes: Codes, radiance_style: FilmStyle, view: View, config: GeneratorConfig | None = None
) -> Float[Tensor, "b 3 h w"]:
    """Render everybody with a camera of their own; `config` overrides rays and samples."""
    camera_B2 = codes.camera_B2 if view == "portrait" else codes.face_camera_B2
    _, neutral_BHWQ3 = generator.neutral_rays(codes.betas_BK, codes.pose_BP3, camera_B2, view, config)
    shape_style = generator.deform_net.style(codes.z_id_BK, codes.z_exp_BK)
    origin_B3 = camera_origin(camera_B2, generator.cameras[view].radius)
    pictures = []
    for person, neutral_HWQ3 in enumerate(neutral_BHWQ3):
        hits = hits_of_rays(generator, neutral_HWQ3.flatten(0, 1), style_of(shape_style, person), config)
        colour_R3 = shade_rays(generator, hits, style_of(radiance_style, person), origin_B3[person])
        pictures.append(colour_R3.unflatten(0, neutral_HWQ3.shape[:2]).permute(2, 0, 1))
    return torch.stack(pictures)


def hits_of_rays(
    generator: Generator,
    neutral_RQ3: Float[Tensor, "r q 3"],
    shape_style: FilmStyle,
    config: GeneratorConfig | None = None,
) -> Hits:
    """Intersect one person's rays, given in neutral-pose space, with the manifolds; `config` overrides fine samples."""
    config = config or generator.config
    chunk = points_at_a_time(generator, max(config.deform_width, config.manifold_width))
    field = DeformedField(generator.deform_net, generator.sample_net, shape_style, chunk)
    points_RL3, valid_RL = hit_manifolds(neutral_RQ3, field, config)
    return Hits(points_RL3, valid_RL > 0)


def shade_rays(
    generator: Generator, hits: Hits, radiance_style: FilmStyle, origin_3: Float[Tensor, "3"]
) -> Float[Tensor, "r 3"]:
    """Return the colours of one person's rays over white, in [-1, 1]; all hits are shaded in one go."""
    rgba_RL4 = _shaded(generator, hits.points_RL3, hits.valid_RL, radiance_style)
    # As a picture one row high. The distance only sorts: no gradient flows through it.
    layers_L3HW = hits.points_RL3.detach().permute(1, 2, 0)[:, :, None]
    picture = composite(
        rgba_RL4.permute(1, 2, 0)[:, :, None], distance(layers_L3HW, origin_3), hits.valid_RL.T[:, None]
    )
    return picture.image_3HW[:, 0].T


def _shaded(
    generator: Generator, points_RL3: Tensor, valid_RL: Bool[Tensor, "r l"], radiance_style: FilmStyle
) -> Float[Tensor, "r l 4"]:
    """Ask phi for colour and opacity where there is a hit; elsewhere all is zero."""
    found_N3 = points_RL3[valid_RL]
    chunk = points_at_a_time(generator, generator.config.radiance_width)
    parts = [generator.radiance_net(part[None], radiance_style, features=False)[0] for part in found_N3.split(chunk)]
    shaded_N4 = torch.cat(parts) if parts else found_N3.new_zeros(0, 4)
    rgba_N4 = torch.cat([shaded_N4[:, :3], opacity(shaded_N4[:, 3:], generator.config)], 1)
    return points_RL3.new_zeros(*valid_RL.shape, 4).index_put((valid_RL,), rgba_N4)


def style_of(style: FilmStyle, person: int) -> FilmStyle:
    """Return the style of one of several people."""
    return FilmStyle(*(part[person : person + 1] for part in style))
