"""Rasterise textured surfaces with OpenGL (EGL, no window): linear colour, coverage, shadows, ambient occlusion."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import moderngl
import numpy as np
from numpy.typing import NDArray

from tools.render import shaders
from tools.render.scene import Lights, SceneCamera, Surface, View


@dataclass(frozen=True)
class Detail:
    """How finely light is followed: sides of the depth pictures in px, directions from which ambient light comes."""

    shadow_px: int = 2048
    openness_px: int = 384
    openness_directions: int = 40


def _unit(v: tuple[float, float, float] | NDArray[np.float64]) -> NDArray[np.float64]:
    v = np.asarray(v, dtype=np.float64)
    return v / np.linalg.norm(v)


def _light_view(direction: NDArray[np.float64], centre_m: NDArray[np.float64], radius_m: float) -> NDArray[np.float64]:
    """Orthographic clip_from_cam (4, 4) looking along -direction at a sphere."""
    forward = -_unit(direction)
    side = _unit(np.cross(forward, (0.0, 0.0, 1.0) if abs(forward[2]) < 0.9 else (1.0, 0.0, 0.0)))
    up = np.cross(side, forward)
    rotation = np.stack([side, up, forward])
    view = np.eye(4)
    view[:3, :3] = rotation / radius_m
    view[:3, 3] = -rotation @ centre_m / radius_m
    return view


def _sphere_directions(count: int) -> NDArray[np.float64]:
    """Spread directions (count, 3) evenly over the sphere (golden-angle spiral)."""
    i = np.arange(count) + 0.5
    z = 1 - 2 * i / count
    turn = np.pi * (1 + 5**0.5) * i
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=1)


@dataclass
class _Loaded:
    """A surface on the GPU."""

    surface: Surface
    textures: dict[str, moderngl.Texture]
    arrays: dict[str, moderngl.VertexArray]
    buffers: list[moderngl.Buffer] = field(default_factory=list)

    def release(self) -> None:
        for thing in [*self.arrays.values(), *self.buffers, *self.textures.values()]:
            thing.release()


class Rasteriser:
    """Holds the OpenGL context; `render` may be called any number of times."""

    def __init__(self, detail: Detail = Detail()) -> None:
        self.detail = detail
        self.gl = moderngl.create_context(standalone=True, backend="egl")
        self.surface_program = self.gl.program(shaders.SURFACE_VERTEX, shaders.SURFACE_FRAGMENT)
        self.depth_program = self.gl.program(shaders.DEPTH_VERTEX, shaders.DEPTH_FRAGMENT)
        self.resolve_program = self.gl.program(shaders.RESOLVE_VERTEX, shaders.RESOLVE_FRAGMENT)
        self.resolve_array = self.gl.vertex_array(self.resolve_program, [])
        self.shadow_depth = self.gl.depth_texture((detail.shadow_px, detail.shadow_px))
        self.shadow_frame = self.gl.framebuffer(depth_attachment=self.shadow_depth)
        self.open_depth = self.gl.depth_texture((detail.openness_px, detail.openness_px))
        self.open_frame = self.gl.framebuffer(depth_attachment=self.open_depth)

    def render(
        self, surfaces: list[Surface], camera: SceneCamera, lights: Lights, supersample: int = 4
    ) -> NDArray[np.float32]:
        """Draw surfaces; returns premultiplied linear RGBA (H, W, 4), alpha = coverage."""
        with self.staged(surfaces, lights) as stage:
            return stage.draw(View.from_origin(camera), supersample)

    @contextmanager
    def staged(self, surfaces: list[Surface], lights: Lights) -> Iterator[RasterStage]:
        """Light surfaces once, for any number of views; directions of `lights` are in the scene's axes."""
        loaded = [self._load(s) for s in surfaces]
        try:
            centre, radius = _bounding_sphere(surfaces)
            self._load_openness(loaded, centre, radius)
            shadow_from_cam = _light_view(_unit(lights.key_direction), centre, radius)
            self._draw_depth(loaded, shadow_from_cam, self.shadow_frame)
            yield RasterStage(self, loaded, lights, shadow_from_cam)
        finally:
            for item in loaded:
                item.release()

    def _texture(self, picture: NDArray[np.uint8]) -> moderngl.Texture:
        flipped = np.ascontiguousarray(picture[::-1])  # v points up, rows point down
        texture = self.gl.texture((flipped.shape[1], flipped.shape[0]), flipped.shape[2], flipped.tobytes())
        texture.build_mipmaps()
        texture.filter = (moderngl.LINEAR_MIPMAP_LINEAR, moderngl.LINEAR)
        texture.anisotropy = 8.0
        return texture

    def _load(self, surface: Surface) -> _Loaded:
        white = np.full((1, 1, 3), 255, np.uint8)
        textures = {
            "diffuse": self._texture(surface.diffuse),
            "normal": self._texture(white if surface.normal_map is None else surface.normal_map[..., :3]),
            "occlusion": self._texture(white if surface.occlusion_map is None else surface.occlusion_map[..., :3]),
        }
        mesh = surface.drawn()
        corner = mesh.vertex.ravel()
        position = self.gl.buffer(surface.position_m[corner].astype("f4").tobytes())
        normal = self.gl.buffer(surface.normals()[corner].astype("f4").tobytes())
        uv = self.gl.buffer(mesh.uv[mesh.uv_index.ravel()].astype("f4").tobytes())
        openness = self.gl.buffer(np.ones(len(corner), "f4").tobytes())
        arrays = {
            "surface": self.gl.vertex_array(
                self.surface_program,
                [
                    (position, "3f", "in_position"),
                    (normal, "3f", "in_normal"),
                    (uv, "2f", "in_uv"),
                    (openness, "1f", "in_openness"),
                ],
            ),
            "depth": self.gl.vertex_array(self.depth_program, [(position, "3f", "in_position"), (uv, "2f", "in_uv")]),
        }
        return _Loaded(surface, textures, arrays, [position, normal, uv, openness])

    def _draw_depth(
        self, loaded: list[_Loaded], clip_from_cam: NDArray[np.float64], frame: moderngl.Framebuffer
    ) -> None:
        frame.use()
        frame.clear(depth=1.0)
        self.gl.enable_only(moderngl.DEPTH_TEST)
        self.depth_program["clip_from_cam"].write(clip_from_cam.T.astype("f4").tobytes())
        self.depth_program["diffuse_map"].value = 0
        for item in loaded:
            self.depth_program["cut"].value = 0.5 if item.surface.material.layered else item.surface.material.alpha_cut
            item.textures["diffuse"].use(0)
            item.arrays["depth"].render()

    def _load_openness(self, loaded: list[_Loaded], centre: NDArray[np.float64], radius: float) -> None:
        """Per-vertex ambient occlusion: the cosine-weighted share of directions in which a vertex sees the open."""
        normals = [item.surface.normals() for item in loaded]
        seen = [np.zeros(len(n)) for n in normals]
        total = [np.full(len(n), 1e-6) for n in normals]
        side = self.detail.openness_px
        bias = 4.0 / side
        for direction in _sphere_directions(self.detail.openness_directions):
            view = _light_view(direction, centre, radius)
            self._draw_depth(loaded, view, self.open_frame)
            depth = np.frombuffer(self.open_depth.read(), "f4").reshape(side, side)
            for k, item in enumerate(loaded):
                at = (item.surface.position_m @ view[:3, :3].T + view[:3, 3]) * 0.5 + 0.5
                column, row = (np.clip(at[:, i] * side, 0, side - 1).astype(int) for i in (0, 1))
                facing = np.maximum(normals[k] @ direction, 0.0)
                total[k] += facing
                seen[k] += facing * (at[:, 2] < depth[row, column] + bias)
        for k, item in enumerate(loaded):
            share = np.clip(seen[k] / total[k], 0.0, 1.0)
            floor = item.surface.material.least_openness
            per_corner = (floor + (1 - floor) * share)[item.surface.drawn().vertex.ravel()]
            item.buffers[3].write(per_corner.astype("f4").tobytes())

    def _draw_colour(
        self,
        loaded: list[_Loaded],
        view: View,
        lights: Lights,
        shadow_from_cam: NDArray[np.float64],
        supersample: int,
    ) -> NDArray[np.float32]:
        camera = view.camera
        big = (camera.width * supersample, camera.height * supersample)
        samples = self.gl.texture(big, 4, dtype="f2")
        frame = self.gl.framebuffer([samples], self.gl.depth_renderbuffer(big))
        frame.use()
        frame.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        self._set_scene(view, lights, shadow_from_cam)
        for item in (i for i in loaded if not i.surface.material.layered):
            self.gl.enable_only(moderngl.DEPTH_TEST)
            self._draw(item, (item.surface.material.alpha_cut, 2.0), opaque=True)
        layered = [i for i in loaded if i.surface.material.layered]
        for item in layered:  # strand cores write depth, so that the soft edges drawn next sort correctly
            self.gl.enable_only(moderngl.DEPTH_TEST)
            self._draw(item, (0.6, 2.0), opaque=True)
        self.gl.enable_only(moderngl.DEPTH_TEST | moderngl.BLEND)
        self.gl.blend_func = moderngl.ONE, moderngl.ONE_MINUS_SRC_ALPHA
        frame.depth_mask = False
        for item in layered:
            self._draw(item, (0.02, 0.6), opaque=False)
        frame.depth_mask = True
        pixels = self._resolve(samples, camera, supersample)
        frame.release()
        samples.release()
        return pixels

    def _set_scene(self, view: View, lights: Lights, shadow_from_cam: NDArray[np.float64]) -> None:
        program = self.surface_program
        program["clip_from_cam"].write(view.clip_from_scene().T.astype("f4").tobytes())
        program["eye"].value = tuple(view.eye_m)
        biased = shadow_from_cam.copy()
        biased[2, 3] -= 3.0 / self.detail.shadow_px * 2  # keeps lit surfaces from shadowing themselves
        program["shadow_from_cam"].write(biased.T.astype("f4").tobytes())
        program["shadow_texel"].value = 1.0 / self.detail.shadow_px
        for name in ("key_colour", "fill_colour", "sky_colour", "ground_colour", "shadow_softness"):
            program[name].value = getattr(lights, name)
        program["key_direction"].value = tuple(_unit(lights.key_direction))
        program["fill_direction"].value = tuple(_unit(lights.fill_direction))
        for slot, name in enumerate(("diffuse_map", "normal_map", "occlusion_map", "shadow_map")):
            program[name].value = slot
        self.shadow_depth.compare_func = "<="
        self.shadow_depth.repeat_x = self.shadow_depth.repeat_y = False

    def _draw(self, item: _Loaded, alpha_range: tuple[float, float], opaque: bool) -> None:
        program, material = self.surface_program, item.surface.material
        for name in (
            "tint",
            "desaturate",
            "specular",
            "exponent",
            "wrap",
            "fresnel",
            "translucency",
            "occlusion_strength",
            "holdout",
        ):
            program[name].value = getattr(material, name)
        program["normal_strength"].value = material.normal_strength if item.surface.normal_map is not None else 0.0
        program["alpha_range"].value = alpha_range
        program["opaque"].value = opaque
        for slot, name in enumerate(("diffuse", "normal", "occlusion")):
            item.textures[name].use(slot)
        self.shadow_depth.use(3)
        item.arrays["surface"].render()

    def _resolve(self, samples: moderngl.Texture, camera: SceneCamera, supersample: int) -> NDArray[np.float32]:
        target = self.gl.texture((camera.width, camera.height), 4, dtype="f4")
        frame = self.gl.framebuffer([target])
        frame.use()
        self.gl.enable_only(moderngl.NOTHING)
        samples.use(0)
        self.resolve_program["samples"].value = 0
        self.resolve_program["factor"].value = supersample
        self.resolve_array.render(moderngl.TRIANGLES, vertices=3)
        pixels = np.frombuffer(target.read(), "f4").reshape(camera.height, camera.width, 4)[::-1].copy()
        frame.release()
        target.release()
        return pixels


@dataclass(frozen=True)
class RasterStage:
    """Surfaces on the GPU with their light, until the block of `Rasteriser.staged` ends."""

    rasteriser: Rasteriser
    loaded: list[_Loaded]
    lights: Lights
    shadow_from_scene: NDArray[np.float64]

    def draw(self, view: View, supersample: int = 4) -> NDArray[np.float32]:
        """Draw a view; returns premultiplied linear RGBA (H, W, 4), alpha = coverage."""
        return self.rasteriser._draw_colour(self.loaded, view, self.lights, self.shadow_from_scene, supersample)


def _bounding_sphere(surfaces: list[Surface]) -> tuple[NDArray[np.float64], float]:
    points = np.concatenate([s.position_m for s in surfaces])
    low, high = points.min(axis=0), points.max(axis=0)
    return (low + high) / 2, float(np.linalg.norm(high - low) / 2)
