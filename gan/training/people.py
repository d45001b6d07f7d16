"""Stage 1's pictures of several people at once, equal to rendering one after another.

M knows nothing of identity, so the maps' rays are intersected once for all; phi shades all people in one product, and
bodies, nearest vertices and D_p take all poses together. Suffixes: B people, R rays, L levels, N points, C channels.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from gan.config import GeneratorConfig
from gan.data.priors import Codes
from gan.networks.film import FilmStyle
from gan.rendering.cameras import camera_origin
from gan.rendering.compositing import render_hits
from gan.rendering.deformed_rays import DeformedField, hit_manifolds
from gan.rendering.generator import Generator, View
from gan.rendering.radiance_maps import map_hits, opacity, rows_of_levels

SMALL_NET_WIDTH = 256  # the width that a generator's chunks are made for


def shade_people(
    generator: Generator, z_id_BK: Float[Tensor, "b 80"], noise_BK: Float[Tensor, "b 80"]
) -> Float[Tensor, "b l 4 h w"]:
    """Return everybody's low-resolution radiance maps (RGB, alpha)."""
    config, radiance = generator.config, generator.radiance_net
    hits = map_hits(generator.sample_net, config, z_id_BK, points_at_a_time(generator, config.manifold_width))
    style = radiance.style(torch.cat([z_id_BK, noise_BK], 1))
    found_RL = hits.crossings.found_RL
    missed_R = (~found_RL).any(1)
    points_N3 = torch.cat([hits.points_RL3[found_RL], hits.last_R3[missed_R]])
    chunk = max(1, points_at_a_time(generator, config.radiance_width) // len(z_id_BK))
    shaded = [radiance(part.expand(len(z_id_BK), -1, -1), style, features=False) for part in points_N3.split(chunk)]
    maps_BRLC = torch.cat(shaded, 1)[:, rows_of_levels(found_RL, missed_R)]
    alpha_BRL = opacity(maps_BRLC[..., 3], config) * hits.crossings.valid_RL
    maps_BRLC = torch.cat([maps_BRLC[..., :3], alpha_BRL[..., None]], -1)
    return maps_BRLC.unflatten(1, (config.map_size, config.map_size)).permute(0, 3, 4, 1, 2).contiguous()


def render_people(
    generator: Generator,
    maps_BL4HW: Float[Tensor, "b l 4 mh mw"],
    codes: Codes,
    view: View,
    config: GeneratorConfig | None = None,
) -> Float[Tensor, "b 3 h w"]:
    """Render everybody with a camera of their own; `config` overrides rays and samples."""
    config = config or generator.config
    camera_B2 = codes.camera_B2 if view == "portrait" else codes.face_camera_B2
    _, neutral_BHWS3 = generator.neutral_rays(codes.betas_BK, codes.pose_BP3, camera_B2, view, config)
    style = generator.deform_net.style(codes.z_id_BK, codes.z_exp_BK)
    origin_B3 = camera_origin(camera_B2, generator.cameras[view].radius)
    side = (config.ray_size, config.ray_size)
    pictures = []
    for person, maps_L4HW in enumerate(maps_BL4HW):
        own = FilmStyle(*(part[person : person + 1] for part in style))
        chunk = points_at_a_time(generator, max(config.deform_width, config.manifold_width))
        field = DeformedField(generator.deform_net, generator.sample_net, own, chunk)
        hits_RL3, valid_RL = hit_manifolds(neutral_BHWS3[person].flatten(0, 1), field, config)
        hits_L3HW = hits_RL3.unflatten(0, side).permute(2, 3, 0, 1)
        valid_L1HW = valid_RL.unflatten(0, side).permute(2, 0, 1)[:, None]
        pictures.append(render_hits(maps_L4HW, hits_L3HW, valid_L1HW, origin_B3[person], config, config.ray_size))
    return torch.stack([picture.image_3HW for picture in pictures])


def points_at_a_time(generator: Generator, width: int) -> int:
    """Points at a time: narrow networks take more of them into the same cache."""
    return max(1, generator.chunk_points() * SMALL_NET_WIDTH // width)
