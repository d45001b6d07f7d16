"""Radiance maps: one identity's look on each manifold, baked once and reused in every frame.

Suffixes: R rays (map pixels), S samples, L level sets, N points, C channels, H W pixels, K code values.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.profiler import record_function

from gan.config import COORDINATE_SCALE, MAP_CENTRE_Y, GeneratorConfig
from gan.networks.arithmetic import patch, reduced
from gan.networks.device_work import fixed_shapes
from gan.networks.film import FilmStyle
from gan.networks.manifold_predictor import ManifoldPredictor, levels
from gan.networks.manifold_superres import ManifoldSuperResolution
from gan.networks.pointwise import in_chunks
from gan.networks.radiance_generator import RadianceGenerator
from gan.networks.superres_tiled import super_resolution_in_tiles
from gan.rendering.level_sets import Crossings, at_crossings, find_crossings
from gan.rendering.sparse_gradients import evaluate_for_search


class RadianceMaps(NamedTuple):
    """RGBA on every manifold: low resolution as shaded, high resolution from U (None before stage 2)."""

    low_L4HW: Tensor
    high_L4HW: Tensor | None


def map_rays(config: GeneratorConfig, like: Tensor) -> Float[Tensor, "r s 3"]:
    """Return orthographic rays down -z, one a map pixel, rows from low y to high y."""
    across = _steps(-config.map_half_side, config.map_half_side, config.map_size, like)
    z = 1 - _steps(config.map_near, config.map_far, config.map_samples, like)
    y, x, z = torch.meshgrid(across + MAP_CENTRE_Y, across, z, indexing="ij")
    return torch.stack([x, y, z], -1).flatten(0, 1)


def _steps(first: float, last: float, count: int, like: Tensor) -> Float[Tensor, " n"]:
    """Return equal steps, rounded to float32 whatever the type of `like`."""
    return torch.linspace(first, last, count, device=like.device).to(like.dtype)


class MapHits(NamedTuple):
    """Where the orthographic rays meet the manifolds, in face units, and the last sample of every ray."""

    points_RL3: Tensor
    last_R3: Tensor
    crossings: Crossings

    def to_shade(self) -> Float[Tensor, "n 3"]:
        """Return the points that phi is asked about.

        Every level that a ray never meets is shaded at the ray's last sample: one evaluation serves them all.
        """
        if fixed_shapes(self.last_R3):
            return self.points_RL3.flatten(0, 1)  # a level never met lies at the last sample already
        found_RL = self.crossings.found_RL
        return torch.cat([self.points_RL3[found_RL], self.last_R3[(~found_RL).any(1)]])

    def of_levels(self, shaded_BNC: Float[Tensor, "b n c"]) -> Float[Tensor, "b r l c"]:
        """Return what was said of the points `to_shade`, for every ray and level."""
        found_RL = self.crossings.found_RL
        if fixed_shapes(self.last_R3):
            return shaded_BNC.unflatten(1, found_RL.shape)
        return shaded_BNC[:, rows_of_levels(found_RL, (~found_RL).any(1))]


def map_hits(field: ManifoldPredictor, config: GeneratorConfig, like: Tensor, chunk: int) -> MapHits:
    """Intersect the rays of all map pixels with all levels."""
    with record_function("maps: M and intersections"):
        # Scaled here and scaled again inside M: see expression_deformation.search_coordinates.
        rays_RS3 = map_rays(config, like) * COORDINATE_SCALE
        levels_L = levels(config.levels, config.level_first, config.level_last, rays_RS3)
        in_parts = lambda points_N3: (torch.cat([patch(field, part) for part in in_chunks(points_N3, chunk)]),)  # noqa: E731
        (s_RS,) = evaluate_for_search(in_parts, rays_RS3, levels_L, falling_only=False)
        crossings = find_crossings(s_RS, levels_L, config.guard, falling_only=False)
        points_RL3 = at_crossings(rays_RS3, crossings) / COORDINATE_SCALE
        return MapHits(points_RL3, rays_RS3[:, -1] / COORDINATE_SCALE, crossings)


def shade_maps(
    field: ManifoldPredictor,
    radiance: RadianceGenerator,
    style: FilmStyle,
    config: GeneratorConfig,
    chunk: int,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "l c h w"]:
    """Intersect, shade and return RGB, alpha and features of every manifold; `style` is one identity's."""
    hits = map_hits(field, config, style.frequency_BLC, chunk)
    with record_function("maps: phi"):
        shade = lambda part_N3: radiance(part_N3[None], style, dtype)  # noqa: E731
        shaded_1NC = torch.cat([patch(shade, part) for part in in_chunks(hits.to_shade(), chunk)], 1)
        maps_RLC = hits.of_levels(shaded_1NC)[0]

    alpha_RL = opacity(maps_RLC[..., 3], config) * hits.crossings.valid_RL
    maps_RLC = torch.cat([maps_RLC[..., :3], alpha_RL[..., None], maps_RLC[..., 4:]], -1)
    return maps_RLC.unflatten(0, (config.map_size, config.map_size)).permute(2, 3, 0, 1)


def opacity(sigma: Float[Tensor, "*n"], config: GeneratorConfig) -> Float[Tensor, "*n"]:
    """Return alpha of phi's raw sigma, where a manifold is hit."""
    return 1 - torch.exp(-config.opacity_scale * F.softplus(sigma))


def rows_of_levels(found_RL: Tensor, missed_R: Tensor) -> Tensor:
    """Return for every ray and level its row among the shaded points: hits first, then one row a missing ray."""
    hit_row = found_RL.flatten().cumsum(0).view(found_RL.shape) - 1
    miss_row = found_RL.sum() + missed_R.cumsum(0) - 1
    return torch.where(found_RL, hit_row, miss_row[:, None])


def super_resolve(
    network: ManifoldSuperResolution,
    maps_LCHW: Float[Tensor, "l c h w"],
    style_K: Float[Tensor, " k"],
    dtype: torch.dtype,
    chunk: int,
) -> Float[Tensor, "l 4 h4 w4"]:
    """Run U over the manifolds, `chunk` of them at a time, in `dtype`; the result is in the maps' own type."""
    device, inner = maps_LCHW.device.type, super_resolution_in_tiles(network, style_K, maps_LCHW, dtype)
    # channels_last: oneDNN's direct convolutions are 1.3-1.6 times as fast.
    direct = lambda part: network(part.to(memory_format=torch.channels_last), style_K)  # noqa: E731
    with reduced(device, torch.float32 if inner else dtype), record_function("maps: U"):
        parts = [torch.sigmoid(patch(inner or direct, part).to(maps_LCHW.dtype)) for part in maps_LCHW.split(chunk)]
    return torch.cat(parts).contiguous()
