"""How networks may begin, so that a short run gets somewhere; the published training is not known to do either.

`begin_at_body`: M starts as shells about the mean body, from REACH_OUT outside its skin (room for hair and clothes) to
REACH_IN below. Without that its level sets are spheres, which hundreds of thousands of pictures turn into people.
`begin_smooth`: phi's first layer starts with slower waves, so that the first pictures are no noise; and codes change
little of it, so that what all people share is learnt once.

Suffixes: V vertices, N points, X Y Z cells of a grid.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from scipy.spatial import cKDTree

from gan.config import COORDINATE_SCALE
from gan.data.priors import Codes, LabelPrior, Purpose
from gan.face.face_space import FaceSpace
from gan.losses import imitation_loss
from gan.networks.radiance_generator import RadianceGenerator
from gan.rendering.body_arrays import BETAS, BodyArrays
from gan.rendering.generator import Generator
from gan.rendering.posed_body import PosableBody

REACH_OUT, REACH_IN = 0.04, 0.02  # face units: 47 and 24 mm
CLOSING, FAR = 0.02, 0.08  # gaps between vertices that count as skin; heights beyond FAR are all the same
STEP, BOX = 0.01, ((-0.3, 0.3), (-0.3, 0.24), (-0.24, 0.24))  # face units: x, y, z
HEAD_BOX = ((-0.1, -0.13, -0.12), (0.1, 0.12, 0.12))  # face units, about the head's centre
EXPRESSION_FACES, EXPRESSION_POINTS, EXPRESSION_SPREAD = 64, 128, 0.012  # a step; spread in face units (14 mm)
LANDMARK_SPREAD, EDGE_SPREAD = 0.005, 0.003  # about landmarks, and about the edges of lids and lips; face units
INNER, EYES, MOUTH = slice(17, 68), slice(36, 48), slice(48, 68)  # of iBUG's landmarks; those before are the jaw's
EXPRESSION_STYLES = 0.1  # factor on what codes change of D_e at first: 0.21 of Eq. 10 left after 400 steps, else 0.46
EXPRESSION_LR, EXPRESSION_SCALE = 4e-4, 1e4  # displacements are some 2 mm: squared face units are tiny
FIT_STEPS, FIT_POINTS, FIT_LR = 400, 4096, 1e-2


def begin_at_body(generator: Generator, body: BodyArrays, seed: int) -> None:
    """Fit M to heights above the mean body in the canonical pose, in place; deterministic in `seed`."""
    config = generator.config
    points_N3, height_N = body_heights(body)
    slope = (config.level_first - config.level_last) / (REACH_OUT + REACH_IN)
    wanted_N = torch.from_numpy(config.level_first + slope * (height_N - REACH_OUT)).float()
    # Scaled here and scaled again inside M: see expression_deformation.search_coordinates.
    scaled_N3 = torch.from_numpy(points_N3 * COORDINATE_SCALE).float()
    near_N = torch.from_numpy(np.flatnonzero(np.abs(height_N) < FAR))
    field = generator.sample_net
    optimiser = torch.optim.Adam(field.parameters(), FIT_LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, FIT_LR, total_steps=FIT_STEPS)
    random = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        for _ in range(FIT_STEPS):
            everywhere = torch.randint(len(wanted_N), (FIT_POINTS // 4,), generator=random)
            close = near_N[torch.randint(len(near_N), (FIT_POINTS - len(everywhere),), generator=random)]
            chosen = torch.cat([everywhere, close])
            loss = torch.nn.functional.smooth_l1_loss(field(scaled_N3[chosen]), wanted_N[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    optimiser.zero_grad(set_to_none=True)


def body_heights(body: BodyArrays) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, " n"]]:
    """Return the points of a grid in the face frame and their heights above the skin (below: negative), cut at FAR."""
    model = PosableBody(body, np.arange(len(body.v_template)))
    with torch.no_grad():
        skin_V3 = model(torch.zeros(1, BETAS), torch.zeros(1, 6, 3)).vertices_BV3[0].double().numpy()
    axes = [np.arange(low, high + STEP / 2, STEP) for low, high in BOX]
    grid_XYZ3 = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    distance_XYZ, _ = cKDTree(skin_V3).query(grid_XYZ3, distance_upper_bound=FAR)
    regions_XYZ, _ = ndimage.label(distance_XYZ > CLOSING)
    outside_XYZ = regions_XYZ == regions_XYZ[0, -1, -1]  # what hangs together with a corner above and in front
    inwards_XYZ = ndimage.distance_transform_edt(~outside_XYZ) * STEP - CLOSING
    height_XYZ = np.where(outside_XYZ, distance_XYZ, -inwards_XYZ).clip(-FAR, FAR)
    return grid_XYZ3.reshape(-1, 3), height_XYZ.ravel()


def begin_with_expressions(
    generator: Generator,
    space: FaceSpace,
    prior: LabelPrior,
    steps: int,
    told: Callable[[int, int], None] = lambda done, whole: None,
) -> None:
    """Fit D_e to the 3DMM's displacements (Eq. 10) at faces of `prior`, in place; deterministic in the prior's seed.

    Eq. 10 needs no pictures. Learnt beside them, D_e had followed a third of nothing after minutes of training; so
    expressions did not obey.
    """
    network = generator.deform_net
    with torch.no_grad():
        network.mapping_network.last.weight.mul_(EXPRESSION_STYLES)
    optimiser = torch.optim.Adam(network.parameters(), EXPRESSION_LR, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, EXPRESSION_LR, total_steps=steps, pct_start=0.1)
    with torch.enable_grad():
        for step in range(steps):
            codes = prior.draw(range(step * EXPRESSION_FACES, (step + 1) * EXPRESSION_FACES), Purpose.EXPRESSIONS)
            points_BN3, wanted_BN3 = expression_pairs(space, codes, step)
            moved_BN3 = network(points_BN3, network.style(codes.z_id_BK, codes.z_exp_BK))
            loss = EXPRESSION_SCALE * imitation_loss(moved_BN3, wanted_BN3)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            told(step + 1, steps)
    optimiser.zero_grad(set_to_none=True)


def expression_pairs(
    space: FaceSpace, codes: Codes, seed: int
) -> tuple[Float[torch.Tensor, "b n 3"], Float[torch.Tensor, "b n 3"]]:
    """Return points and Eq. 10's answers.

    A quarter of the points lies about brows, eyes, nose and mouth, a quarter close to the edges of lids and lips, a
    quarter near the expressive face and a quarter anywhere about the head. Lids and brows move by a millimetre or less:
    without points of their own they were left out.
    """
    random = torch.Generator().manual_seed(seed)
    face_BV3, landmark_BL3 = (make(codes.z_id_BK, codes.z_exp_BK) for make in (space.vertices, space.landmarks))
    quarter = EXPRESSION_POINTS // 4
    near_BN3 = _about(face_BV3, quarter, EXPRESSION_SPREAD, random)
    inner_BN3 = _about(landmark_BL3[:, INNER], quarter, LANDMARK_SPREAD, random)
    edges_BN3 = [_about(landmark_BL3[:, edge], quarter // 2, EDGE_SPREAD, random) for edge in (EYES, MOUTH)]
    low_3, high_3 = torch.tensor(HEAD_BOX)
    anywhere_BN3 = low_3 + (high_3 - low_3) * torch.rand(near_BN3.shape, generator=random)
    points_BN3 = torch.cat([near_BN3, inner_BN3, *edges_BN3, anywhere_BN3], 1)
    return points_BN3, space.reference_displacement(points_BN3, codes.z_id_BK, codes.z_exp_BK)


def _about(
    places_BV3: Float[torch.Tensor, "b v 3"], count: int, spread: float, random: torch.Generator
) -> Float[torch.Tensor, "b n 3"]:
    """Draw points normally about places drawn at random."""
    chosen_BN = torch.randint(places_BV3.shape[1], (len(places_BV3), count), generator=random)
    drawn_BN3 = places_BV3.gather(1, chosen_BN[..., None].expand(-1, -1, 3))
    return drawn_BN3 + spread * torch.randn(drawn_BN3.shape, generator=random)


@torch.no_grad()
def begin_smooth(radiance: RadianceGenerator, waves: float, styles: float) -> None:
    """Multiply the first layer's weights, and those by which codes modulate every layer, in place."""
    radiance.network[0].layer.weight.mul_(waves)  # type: ignore[operator,union-attr]
    radiance.mapping_network.last.weight.mul_(styles)
