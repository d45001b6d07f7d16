"""Every number of the generator; the defaults are those of the published weights."""

import dataclasses
import math

from dataprep.errors import ConfigError

# SMPL metres -> body frame -> face frame (spec 2, section 1).
BODY_UNIT_M = 2.2314079
FACE_ORIGIN_BODY = (0.0, 0.067489409707008, 0.050608165033568)
FACE_UNIT_BODY = 0.52767998683149
NECK, HEAD = 12, 15
POSED_JOINTS = (12, 13, 14, 15, 16, 17)  # neck, left and right collar, head, left and right shoulder
CANONICAL_EULER_ZYX_RAD = {15: (0.0, 0.0, 0.15536945), 16: (-1.05, 0.0, 0.13), 17: (1.05, 0.0, 0.13)}

# Coordinates enter every network multiplied by this.
COORDINATE_SCALE = 2 / 0.24

ID_CODE, EXPRESSION_CODE, NOISE_CODE = 80, 64, 80
MAP_CENTRE_Y = -0.02830771


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Sizes and ranges; lengths in face units (1 = 1.17747 m), angles in radians."""

    image_size: int = 512
    ray_size: int = 128  # rays an image side; hits are interpolated from here to image_size
    map_size: int = 128  # side of the low-resolution radiance maps; U makes them 4 times larger
    coarse_samples: int = 64  # of a ray, deformed by inverse skinning
    fine_samples: int = 256  # of a ray, evaluated by D_e and M
    map_samples: int = 64
    levels: int = 24
    level_first: float = 23.0
    level_last: float = 8.0
    fov_rad: float = math.radians(12)
    portrait_radius: float = 1 / FACE_UNIT_BODY
    portrait_near: float = 1.675087979372887
    portrait_far: float = 2.115087979372887
    face_radius: float = 1.0
    face_near: float = 0.88
    face_far: float = 1.12
    map_half_side: float = 0.22
    map_near: float = 0.8
    map_far: float = 1.2
    opacity_scale: float = 0.04
    guard: float = 0.05  # an s difference below this is not interpolated
    outside_weight_max: float = 0.1  # assumed: skinning weight outside joints 9, 12-17 of a nearest-neighbour vertex
    deform_width: int = 128
    manifold_width: int = 128
    radiance_width: int = 256
    features: int = 32
    sr_width: int = 64
    sr_growth: int = 32
    sr_blocks: int = 4

    def __post_init__(self) -> None:
        if self.ray_size % 2 or self.coarse_samples % 2:
            raise ConfigError(
                f"ray_size {self.ray_size} and coarse_samples {self.coarse_samples} must be even: "
                "pose deformation works at half resolution"
            )
        if self.ray_size < 10 or self.coarse_samples < 6:
            raise ConfigError(
                f"ray_size {self.ray_size} must be at least 10 and coarse_samples {self.coarse_samples} at least 6: "
                "the smoothing network reflects 4 pixels and 2 samples at half resolution"
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
