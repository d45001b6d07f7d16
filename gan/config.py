"""Every number of the generator; the defaults are those of the published weights."""

import dataclasses
import math

from dataprep.errors import ConfigError
from dataprep.frames.geometry import FACE_UNIT_BODY
from dataprep.settings import number, require_bounds, setting

# Coordinates enter every network multiplied by this (the released code's): the depth that the face camera samples,
# 0.24, becomes 2.
COORDINATE_SCALE = 2 / 0.24

LEAST_RAYS = 10

ID_CODE, EXPRESSION_CODE, NOISE_CODE = 80, 64, 80
MAP_CENTRE_Y = -0.02830771  # height of the maps' middle, in face units; the released code's


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Sizes and ranges; lengths in face units (1 = 1.17747 m), angles in radians."""

    image_size: int = number(512, 4, 4096, "side of the picture; px")
    # The smoothing network reflects 4 pixels and 2 samples at half resolution: hence 10 rays and 6 samples at least.
    ray_size: int = number(128, LEAST_RAYS, 2048, "rays an image side; hits are interpolated from here to image_size")
    map_size: int = number(128, 4, 2048, "side of the low-resolution radiance maps, which U makes 4 times larger; px")
    coarse_samples: int = number(64, 6, 1024, "samples of a ray that inverse skinning deforms")
    fine_samples: int = number(256, 2, 4096, "samples of a ray that D_e and M evaluate")
    map_samples: int = number(64, 2, 4096, "samples of a map's ray that M evaluates")
    levels: int = number(24, 1, 256, "radiance manifolds: level sets of M")
    level_first: float = number(23.0, -1e3, 1e3, "value of M on the first manifold")
    level_last: float = number(8.0, -1e3, 1e3, "value of M on the last manifold")
    fov_rad: float = number(math.radians(12), 1e-3, 3.0, "opening angle of both cameras; rad")
    portrait_radius: float = number(1 / FACE_UNIT_BODY, 1e-3, 1e3, "distance of the portrait camera; face units")
    portrait_near: float = number(1.675087979372887, 1e-3, 1e3, "where rays of the portrait camera begin; face units")
    portrait_far: float = number(2.115087979372887, 1e-3, 1e3, "where rays of the portrait camera end; face units")
    face_radius: float = number(1.0, 1e-3, 1e3, "distance of the face camera; face units")
    face_near: float = number(0.88, 1e-3, 1e3, "where rays of the face camera begin; face units")
    face_far: float = number(1.12, 1e-3, 1e3, "where rays of the face camera end; face units")
    map_half_side: float = number(0.22, 1e-3, 1e3, "half the side of the square that maps cover; face units")
    map_near: float = number(0.8, 1e-3, 1e3, "where rays of the maps begin; face units")
    map_far: float = number(1.2, 1e-3, 1e3, "where rays of the maps end; face units")
    opacity_scale: float = number(0.04, 1e-6, 1e6, "c of opacity 1 - exp(-c softplus(sigma))")
    guard: float = number(0.05, 0, 1e3, "an s difference below this is not interpolated")
    outside_weight_max: float = number(
        0.1, 0, 1, "most skinning weight of a nearest-neighbour vertex outside joints 9 and 12-17"
    )
    heads_in_place: bool = setting(
        False,
        "inverse skinning also undoes how far body shape moves the head from the mean body's, where the 3DMM's face is",
    )
    deform_width: int = number(128, 1, 4096, "width of D_e")
    deform_code_width: int = number(
        0, 0, 4096, "width of the network that turns codes into D_e's styles; 0: deform_width"
    )
    deform_mapping_layers: int = number(4, 1, 16, "layers of that network; 1: D_e's styles are linear in the codes")
    manifold_width: int = number(128, 1, 4096, "width of M")
    radiance_width: int = number(256, 1, 4096, "width of phi")
    radiance_mapping_layers: int = number(
        4, 1, 16, "layers of the network that turns codes into phi's styles; 1: styles are linear in the code"
    )
    features: int = number(32, 1, 4096, "features of the maps beside colour and opacity, for U")
    sr_width: int = number(64, 1, 4096, "width of U")
    sr_growth: int = number(32, 1, 4096, "channels that every layer of a dense block of U adds")
    sr_blocks: int = number(4, 1, 256, "dense blocks of U")

    def __post_init__(self) -> None:
        require_bounds(self, "generator.")
        if self.ray_size % 2 or self.coarse_samples % 2:
            raise ConfigError(
                f"ray_size {self.ray_size} and coarse_samples {self.coarse_samples} must be even: "
                "pose deformation works at half resolution"
            )
        if self.image_size < self.ray_size:
            raise ConfigError(f"image_size {self.image_size} must not be smaller than ray_size {self.ray_size}")


def preview(config: GeneratorConfig) -> GeneratorConfig:
    """Return settings for quick looks: a quarter of the rays, a quarter of their samples, half the image side."""
    return dataclasses.replace(
        config,
        image_size=config.image_size // 2,
        ray_size=config.ray_size // 4 * 2,
        coarse_samples=config.coarse_samples // 4 * 2,
        fine_samples=config.fine_samples // 4,
    )
