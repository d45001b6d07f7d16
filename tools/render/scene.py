"""What a picture is made of: camera, lights, materials and textured surfaces. No OpenGL here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tools.render.makehuman_assets import TexturedMesh

NEAR_M, FAR_M = 0.3, 40.0


@dataclass(frozen=True)
class SceneCamera:
    """Pinhole camera in pixels; axes x right, y down, z forward; origin of pixels at the image's top-left corner."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def project(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project (..., 3) camera-frame points in metres to (..., 2) pixels."""
        x, y, z = np.moveaxis(points_m, -1, 0)
        return np.stack([self.fx * x / z + self.cx, self.fy * y / z + self.cy], axis=-1)

    def window(self, left: int, top: int, width: int, height: int) -> SceneCamera:
        """The same camera, of whose picture only a part is taken."""
        return SceneCamera(self.fx, self.fy, self.cx - left, self.cy - top, width, height)

    def clip_from_cam(self) -> NDArray[np.float64]:
        """The OpenGL matrix (4, 4) of the same projection, near and far planes included."""
        a, b = (FAR_M + NEAR_M) / (FAR_M - NEAR_M), -2.0 * FAR_M * NEAR_M / (FAR_M - NEAR_M)
        w, h = self.width, self.height
        return np.array(
            [
                [2 * self.fx / w, 0, 2 * self.cx / w - 1, 0],
                [0, -2 * self.fy / h, 1 - 2 * self.cy / h, 0],
                [0, 0, a, b],
                [0, 0, 1, 0],
            ]
        )


@dataclass(frozen=True)
class View:
    """A camera that stands anywhere in a scene; `camera_from_scene` (3, 4) turns and shifts, metres."""

    camera: SceneCamera
    camera_from_scene: NDArray[np.float64]

    @classmethod
    def from_origin(cls, camera: SceneCamera) -> View:
        """The view of a camera whose axes are the scene's."""
        return cls(camera, np.eye(3, 4))

    @property
    def eye_m(self) -> NDArray[np.float64]:
        """Where the camera stands in the scene (3,)."""
        return -self.camera_from_scene[:, :3].T @ self.camera_from_scene[:, 3]

    def seen(self, points_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Points (..., 3) of the scene in the camera's axes."""
        return points_m @ self.camera_from_scene[:, :3].T + self.camera_from_scene[:, 3]

    def clip_from_scene(self) -> NDArray[np.float64]:
        """The OpenGL matrix (4, 4) of the whole way."""
        return self.camera.clip_from_cam() @ np.vstack([self.camera_from_scene, [0.0, 0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class SurfaceMaterial:
    """How a surface answers light; colours linear."""

    specular: float = 0.02
    exponent: float = 16.0
    wrap: float = 0.2
    fresnel: float = 0.04
    translucency: float = 0.0
    layered: bool = False  # hair: drawn as strands with soft alpha, after the opaque surfaces
    alpha_cut: float = 0.1
    normal_strength: float = 0.0
    occlusion_strength: float = 0.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    desaturate: float = 0.0
    holdout: bool = False  # hides what is behind it and has no coverage of its own
    least_openness: float = 0.12  # ambient light that reaches even an enclosed vertex


@dataclass(frozen=True)
class Surface:
    """One drawable: posed vertices (V, 3) in the camera frame, triangles, which of them are shown, textures."""

    name: str
    position_m: NDArray[np.float64]
    mesh: TexturedMesh
    diffuse: NDArray[np.uint8]
    material: SurfaceMaterial
    normal_map: NDArray[np.uint8] | None = None
    occlusion_map: NDArray[np.uint8] | None = None
    shown: NDArray[np.bool_] | None = None

    def normals(self) -> NDArray[np.float64]:
        """Area-weighted vertex normals (V, 3), pointing outwards for counter-clockwise triangles seen from outside."""
        a, b, c = (self.position_m[self.mesh.vertex[:, i]] for i in range(3))
        face = np.cross(b - a, c - a)
        total = np.zeros_like(self.position_m)
        for i in range(3):
            np.add.at(total, self.mesh.vertex[:, i], face)
        return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)

    def drawn(self) -> TexturedMesh:
        return self.mesh if self.shown is None else self.mesh.keep(self.shown)


@dataclass(frozen=True)
class Lights:
    """Directions point from the person towards the light, camera axes; colours are linear radiance."""

    key_direction: tuple[float, float, float] = (0.45, -0.55, -0.8)
    key_colour: tuple[float, float, float] = (0.95, 0.9, 0.82)
    fill_direction: tuple[float, float, float] = (-0.8, -0.2, -0.5)
    fill_colour: tuple[float, float, float] = (0.16, 0.18, 0.22)
    sky_colour: tuple[float, float, float] = (0.42, 0.44, 0.48)
    ground_colour: tuple[float, float, float] = (0.2, 0.18, 0.16)
    shadow_softness: float = 3.0
