"""A person without weights: the generator's whole geometry around the skin of a body model.

M is replaced by the distance to the body's own surface and the radiance maps by painted colours. Cameras, skinning,
level search and compositing are those of any rendering. For figures, and for judging what needs a picture with real
outlines, such as the loss of a preview. Suffixes: N points, V vertices, F faces, L level sets, digits literal sizes.
"""

import dataclasses

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor, nn

from dataprep.frames.smpl_joints import HEAD, NECK
from dataprep.models.body.smpl import BodyModel
from gan.config import COORDINATE_SCALE, MAP_CENTRE_Y, GeneratorConfig
from gan.networks.manifold_predictor import ManifoldPredictor
from gan.rendering.body_arrays import BETAS, body_arrays
from gan.rendering.generator import Generator, Identity
from gan.rendering.posed_body import PosableBody
from gan.rendering.radiance_maps import RadianceMaps, map_hits

SKIN_DEPTH = 0.012  # face units from the first level set, which is the skin, to the last
CLOSING, HEIGHT_MAX = 0.008, 0.04
GRID_STEP, GRID_BOX = 0.005, ((-0.25, 0.25), (-0.28, 0.23), (-0.22, 0.22))  # face units: x, y, z
ALPHA = 0.35
FACE_GRID = 4  # points along an edge of every triangle
SKIN, HAIR, LIPS = (0.86, 0.65, 0.55), (0.24, 0.16, 0.12), (0.72, 0.36, 0.36)
EYES, SHIRT = (0.12, 0.1, 0.1), (0.28, 0.42, 0.6)
LIGHT = (0.35, 0.5, 0.8)


@dataclasses.dataclass(frozen=True, eq=False)
class Skin:
    """Points on the surface of the mean body in the canonical pose, in the face frame."""

    points_N3: Float[np.ndarray, "n 3"]
    normals_N3: Float[np.ndarray, "n 3"]
    colours_N3: Float[np.ndarray, "n 3"]

    def rows(self, chosen_N: np.ndarray) -> "Skin":
        return Skin(self.points_N3[chosen_N], self.normals_N3[chosen_N], self.colours_N3[chosen_N])


class SkinField(ManifoldPredictor):
    """Stands in for M: s falls from the first level to the last over SKIN_DEPTH below the skin.

    Read from a grid of heights above a skin whose folds narrower than CLOSING (mouth, nostrils) are closed.
    `outer` is the skin without what lies inside: eye sockets, the mouth's lining.
    """

    def __init__(self, skin: Skin, config: GeneratorConfig, grid_step: float) -> None:
        super().__init__(width=1)  # a predictor by type; its own layers go unused
        axes = [np.arange(low, high + grid_step, grid_step) for low, high in GRID_BOX]
        grid_XYZ3 = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        outside_XYZ = _outside(skin, grid_XYZ3)
        self.outer = skin.rows(_touches(skin.points_N3 + CLOSING * skin.normals_N3, outside_XYZ, axes))
        # The closed skin lies CLOSING below points that float CLOSING above the skin.
        floating_N3 = self.outer.points_N3 + CLOSING * self.outer.normals_N3
        distance_XYZ, _ = cKDTree(floating_N3).query(grid_XYZ3, distance_upper_bound=HEIGHT_MAX)
        distance_XYZ = np.minimum(distance_XYZ, HEIGHT_MAX)
        height_XYZ = CLOSING + np.where(outside_XYZ, distance_XYZ, -distance_XYZ)
        slope = (config.level_first - config.level_last) / SKIN_DEPTH
        s_ZYX = torch.from_numpy((config.level_first + slope * height_XYZ).astype(np.float32)).permute(2, 1, 0)
        self.s_11ZYX = s_ZYX[None, None].contiguous()
        self.low_3 = torch.tensor([axis[0] for axis in axes], dtype=torch.float32)
        self.span_3 = torch.tensor([axis[-1] - axis[0] for axis in axes], dtype=torch.float32)

    def forward(self, points_N3: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        unit_N3 = (points_N3 / COORDINATE_SCALE - self.low_3) / self.span_3 * 2 - 1
        grid = unit_N3[None, :, None, None]
        return nn.functional.grid_sample(self.s_11ZYX, grid, padding_mode="border", align_corners=True).flatten()


def _outside(skin: Skin, grid_XYZ3: np.ndarray) -> np.ndarray:
    """Mark cells farther than CLOSING from the skin that hang together with a corner above and in front of it."""
    distance_XYZ, _ = cKDTree(skin.points_N3).query(grid_XYZ3, distance_upper_bound=HEIGHT_MAX)
    regions_XYZ, _ = ndimage.label(distance_XYZ > CLOSING)
    return regions_XYZ == regions_XYZ[0, -1, -1]


def _touches(points_N3: np.ndarray, cells_XYZ: np.ndarray, axes: list[np.ndarray]) -> np.ndarray:
    """Say for every point whether its cell or a neighbouring one is marked."""
    low, step = np.array([axis[0] for axis in axes]), axes[0][1] - axes[0][0]
    index_N3 = np.rint((points_N3 - low) / step).astype(int).clip(0, np.array(cells_XYZ.shape) - 1)
    return ndimage.binary_dilation(cells_XYZ)[tuple(index_N3.T)]


def mannequin(
    body: BodyModel, config: GeneratorConfig | None = None, grid_step: float = GRID_STEP
) -> tuple[Generator, Identity]:
    """Return a generator that renders the mean body, and its identity: on the CPU, expression without effect."""
    generator = Generator(body_arrays(body), config).eval().requires_grad_(False)
    field = SkinField(canonical_skin(body), generator.config, grid_step)
    generator.sample_net = field
    maps = RadianceMaps(*(_painted_maps(generator, field, scale) for scale in (1, 4)))
    return generator, Identity(torch.zeros(1, 80), torch.zeros(1, BETAS), maps)


def canonical_skin(body: BodyModel) -> Skin:
    """Return a dense sampling of the mean body with smooth normals and painted colours."""
    vertices_V3 = face_frame_vertices(body, torch.zeros(1, 6, 3))
    faces_F3 = body.faces[_in_box(vertices_V3)[body.faces].all(1)]
    corners_F33 = vertices_V3[faces_F3]
    area_F3 = np.cross(corners_F33[:, 1] - corners_F33[:, 0], corners_F33[:, 2] - corners_F33[:, 0])
    normals_V3 = np.zeros_like(vertices_V3)
    np.add.at(normals_V3, faces_F3.ravel(), np.repeat(area_F3, 3, 0))
    n = FACE_GRID
    grid_K3 = np.array([(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]) / n
    mix = lambda values_VD: np.einsum("kc,fcd->fkd", grid_K3, values_VD[faces_F3]).reshape(-1, values_VD.shape[1])  # noqa: E731
    normals_N3 = mix(normals_V3 / np.linalg.norm(normals_V3, axis=1, keepdims=True).clip(1e-12))
    normals_N3 /= np.linalg.norm(normals_N3, axis=1, keepdims=True).clip(1e-12)
    points_N3 = mix(vertices_V3)
    owner_V2 = body.weights[:, [HEAD, NECK]].astype(np.float64)
    return Skin(points_N3, normals_N3, _paint(body, points_N3, normals_N3, mix(owner_V2)))


def _in_box(points_N3: np.ndarray) -> np.ndarray:
    low, high = np.array(GRID_BOX).T
    return ((points_N3 > low - HEIGHT_MAX) & (points_N3 < high + HEIGHT_MAX)).all(1)


def face_frame_vertices(body: BodyModel, pose_1P3: Float[Tensor, "1 6 3"]) -> Float[np.ndarray, "v 3"]:
    """Return all vertices of the mean body in a pose, in the face frame."""
    model = PosableBody(body_arrays(body), np.arange(len(body.v_template)))
    return model(torch.zeros(1, BETAS), pose_1P3).vertices_BV3[0].numpy().astype(np.float64)


def _paint(
    body: BodyModel, points_N3: np.ndarray, normals_N3: np.ndarray, owner_N2: np.ndarray
) -> Float[np.ndarray, "n 3"]:
    """Return lit colours: shirt, skin, hair above a line that falls to the nape, eyes and lips by key points."""
    vertices_V3 = face_frame_vertices(body, torch.zeros(1, 6, 3))
    names = tuple(f"mediapipe/{n}" for n in ("left_eye", "right_eye", "mouth_left", "mouth_right"))
    left_eye, right_eye, *corners = np.asarray(body.keypoint_rows(names) @ vertices_V3)
    mouth = np.stack(corners)
    brow_y = (left_eye[1] + right_eye[1]) / 2 + 0.038
    head = owner_N2[:, 0] > 0.5
    y, z = points_N3[:, 1], points_N3[:, 2]
    hair = head & (y > brow_y + 0.9 * (z - left_eye[2])) & (y > mouth[0, 1] - 0.02)
    colours_N3 = np.where((owner_N2.sum(1) > 0.5)[:, None], SKIN, SHIRT)
    colours_N3[hair] = HAIR
    for eye in (left_eye, right_eye):
        colours_N3[head & (np.linalg.norm((points_N3 - eye) / [0.009, 0.0045, 0.03], axis=1) < 1)] = EYES
    width = np.linalg.norm(mouth[0] - mouth[1]) / 2
    colours_N3[head & (np.linalg.norm((points_N3 - mouth.mean(0)) / [width, 0.007, 0.03], axis=1) < 1)] = LIPS
    lit_N = 0.45 + 0.55 * (normals_N3 @ (np.array(LIGHT) / np.linalg.norm(LIGHT))).clip(0)
    return colours_N3 * lit_N[:, None]


def _painted_maps(generator: Generator, field: SkinField, scale: int) -> Float[Tensor, "l 4 h w"]:
    """Return maps, the same on every level: the colour of the skin that the map's ray meets first."""
    config = generator.config
    hits = map_hits(field, config, torch.zeros(1), generator.chunk_points())
    z = hits.points_RL3[:, 0, 2].view(1, 1, config.map_size, config.map_size)
    size = scale * config.map_size
    z_HW = nn.functional.interpolate(z, (size, size), mode="bilinear", align_corners=True)[0, 0].numpy()
    across = np.linspace(-config.map_half_side, config.map_half_side, size)
    y_HW, x_HW = np.meshgrid(across + MAP_CENTRE_Y, across, indexing="ij")
    front = field.outer.rows(field.outer.normals_N3[:, 2] > 0)
    _, nearest_HW = cKDTree(front.points_N3).query(np.stack([x_HW, y_HW, z_HW], -1))
    rgb_3HW = torch.from_numpy(front.colours_N3[nearest_HW].astype(np.float32)).permute(2, 0, 1)
    return torch.cat([rgb_3HW, torch.full((1, size, size), ALPHA)]).expand(config.levels, -1, -1, -1).contiguous()
