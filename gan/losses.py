"""What training minimises: adversarial terms with R1, and the deformation losses of the paper (Eqs. 9-13).

Only the adversarial weights 0.1 / 1.0 / 0.5 are published; all others are fields of `gan.presets`, marked assumed.
Means are over batch, points and, unless an equation has a squared norm, channels.

Suffixes: B batch, N points, L landmarks, C channels, D H W depth, height, width, K code values.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dataprep.settings import number, require_bounds
from gan.networks.critics import Verdicts
from gan.networks.pose_deformation import PoseSmoothing

CAMERA_WEIGHT = 15.0  # GRAM's, where a critic regresses the camera


@dataclass(frozen=True)
class AdversarialWeights:
    """Weights of the critics (paper section 5); the patch critic's is GRAM-HD's, assumed."""

    whole: float = number(0.1, 0, 1e6, "weight of D_whole")
    face: float = number(1.0, 0, 1e6, "weight of D_face")
    torso: float = number(0.5, 0, 1e6, "weight of D_torso")
    patch: float = number(0.1, 0, 1e6, "weight of the patch critic of stage 2")

    def __post_init__(self) -> None:
        require_bounds(self, "adversarial.")


# -- adversarial


def critic_loss(real_logit: Float[Tensor, "*n"], fake_logit: Float[Tensor, "*m"]) -> Float[Tensor, ""]:
    """Non-saturating: softplus(D(fake)) + softplus(-D(real))."""
    return F.softplus(fake_logit).mean() + F.softplus(-real_logit).mean()


def generator_loss(fake_logit: Float[Tensor, "*n"]) -> Float[Tensor, ""]:
    """Non-saturating: softplus(-D(fake))."""
    return F.softplus(-fake_logit).mean()


def r1_penalty(
    real_logit: Float[Tensor, "b *n"], real_image: Float[Tensor, "b c h w"], gamma: float, scale: float = 1.0
) -> Float[Tensor, ""]:
    """gamma / 2 E |grad_image D(image)|^2. The image needs gradients.

    D of a picture is the mean of its patch logits where it has several (GRAM-HD). R1 of their sum grows with the
    square of their number: at 128 px a patch critic then learnt nothing in 110 steps, with the mean it tells 78% apart.
    `scale` multiplies what flows back through D and is divided out again, so that float16 does not lose it.
    """
    of_picture_B = real_logit.flatten(1).mean(1) if real_logit.ndim > 1 else real_logit
    (gradient,) = torch.autograd.grad(of_picture_B.sum() * scale, real_image, create_graph=True)
    return gamma / 2 * (gradient / scale).square().sum((1, 2, 3)).mean()


def critics_loss(
    real: Verdicts,
    fake: Verdicts,
    portrait: Tensor,
    face: Tensor,
    weights: AdversarialWeights,
    gamma: float,
    r1_scale: float = 1.0,
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Weighted sum over the critics of loss and R1, each on the real pictures it saw; the parts are for the log.

    `portrait` and `face` are the real pictures behind `real`, requiring gradients. With a gamma of 0 R1 is left out.
    """
    pairs = zip(_logits(real, weights), _logits(fake, weights), strict=True)
    weighted = {name: (weight, critic_loss(said, of_fake)) for (name, weight, said), (_, _, of_fake) in pairs}
    parts = {f"critic_{name}": loss for name, (_, loss) in weighted.items()}
    total = torch.stack([weight * loss for weight, loss in weighted.values()]).sum()
    if not gamma:
        return total, parts
    penalty, penalties = r1_loss(real, portrait, face, weights, gamma, r1_scale)
    return total + penalty, parts | penalties


def r1_loss(
    real: Verdicts, portrait: Tensor, face: Tensor, weights: AdversarialWeights, gamma: float, r1_scale: float = 1.0
) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Weighted sum of R1 over the critics.

    The patch critic's is of its weighted logit, as GRAM-HD adds it to the other's before the gradient is taken.
    """
    parts: dict[str, Tensor] = {}
    total = portrait.new_zeros(())
    for name, weight, logit in _logits(real, weights):
        parts[f"r1_{name}"] = r1_penalty(logit, face if name == "face" else portrait, gamma, r1_scale)
        total = total + weight * (weight if name == "patch" else 1) * parts[f"r1_{name}"]
    return total, parts


def adversarial_loss(fake: Verdicts, weights: AdversarialWeights) -> tuple[Float[Tensor, ""], dict[str, Tensor]]:
    """Weighted sum of the generator's losses over the critics (paper section 5)."""
    parts = {f"generator_{name}": generator_loss(logit) for name, _, logit in _logits(fake, weights)}
    total = torch.stack([weight * parts[f"generator_{name}"] for name, weight, _ in _logits(fake, weights)]).sum()
    return total, parts


def camera_loss(
    regressed_B2: Float[Tensor, "b 2"], camera_B2: Float[Tensor, "b 2"], weight: float = CAMERA_WEIGHT
) -> Float[Tensor, ""]:
    """GRAM's: mean squared error of pitch and yaw, for real pictures (critic) and fake ones (both)."""
    return weight * F.mse_loss(regressed_B2, camera_B2)


def regression_loss(
    said: Verdicts,
    camera_B2: Float[Tensor, "b 2"],
    face_camera_B2: Float[Tensor, "b 2"],
    weight: float = CAMERA_WEIGHT,
) -> Float[Tensor, ""]:
    """Sum of `camera_loss` over the critics that regress a camera: each is asked for the one it looked through."""
    seen = ((said.whole, camera_B2), (said.torso, camera_B2), (said.face, face_camera_B2))
    errors = [
        camera_loss(verdict.camera_B2, truth, weight)
        for verdict, truth in seen
        if verdict is not None and verdict.camera_B2 is not None
    ]
    return torch.stack(errors).sum() if errors else camera_B2.new_zeros(())


def _logits(verdicts: Verdicts, weights: AdversarialWeights) -> list[tuple[str, float, Tensor]]:
    out = [("whole", weights.whole, verdicts.whole.logit_B)]
    if verdicts.face is not None:
        out.append(("face", weights.face, verdicts.face.logit_B))
    if verdicts.torso is not None:
        out.append(("torso", weights.torso, verdicts.torso.logit_B))
    if verdicts.patch_BPQ is not None:
        out.append(("patch", weights.patch, verdicts.patch_BPQ))
    return out


# -- deformation


def landmark_loss(commanded_BL3: Float[Tensor, "b 68 3"], estimated_BL3: Float[Tensor, "b 68 3"]) -> Float[Tensor, ""]:
    """Eq. 9: mean squared distance of the 3D landmarks of S(z_id, z_exp) and of S of the re-estimated codes."""
    return (commanded_BL3 - estimated_BL3).square().sum(-1).mean()


def imitation_loss(
    displacement_BN3: Float[Tensor, "b n 3"], reference_BN3: Float[Tensor, "b n 3"]
) -> Float[Tensor, ""]:
    """Eq. 10: |D_e(x) - x - dx_ref|^2, both displacements in the same units."""
    return (displacement_BN3 - reference_BN3).square().sum(-1).mean()


def pose_smooth_loss(
    field_BCDHW: Float[Tensor, "b c d h w"], smoother: PoseSmoothing, fixed: PoseSmoothing
) -> Float[Tensor, ""]:
    """Eq. 11: |D_p(T) - AvgPool(T)|^2, the squared norm over the matrix entries. See `average_pool`."""
    with torch.no_grad():
        wanted = fixed(field_BCDHW)
    return (smoother(field_BCDHW) - wanted).square().sum(1).mean()


def average_pool() -> PoseSmoothing:
    """Return the fixed operator of Eq. 11 [assumed]: D_p as it starts, two average poolings about an upsampling."""
    return PoseSmoothing().requires_grad_(False)


def expression_smooth_loss(
    displacement_BN3: Float[Tensor, "b n 3"], nearby_BN3: Float[Tensor, "b n 3"]
) -> Float[Tensor, ""]:
    """Eq. 12: displacements at x and at x + delta agree.

    Read literally, D_e(x) - D_e(x + delta) would hold -delta too and pull space into a point; like AniFaceGAN this
    takes the displacements [assumed].
    """
    return (displacement_BN3 - nearby_BN3).square().sum(-1).mean()


def nearby_points(points_BN3: Float[Tensor, "b n 3"], spread: float, random: torch.Generator) -> Float[Tensor, "b n 3"]:
    """x + delta of Eq. 12; delta is normal with `spread` in face units [assumed]."""
    delta = torch.randn(points_BN3.shape, generator=random, device=random.device, dtype=points_BN3.dtype)
    return points_BN3 + spread * delta.to(points_BN3.device)


def minimal_loss(displacement_BN3: Float[Tensor, "b n 3"]) -> Float[Tensor, ""]:
    """Eq. 13: |x - D_e(x)|^2."""
    return displacement_BN3.square().sum(-1).mean()


# -- stage 2


def image_consistency_loss(
    high_B3HW: Float[Tensor, "b 3 h w"], low_B3HW: Float[Tensor, "b 3 l l"]
) -> Float[Tensor, ""]:
    """Mean squared error of the high-resolution picture, brought down to the low one's rays, and the low one.

    Both sizes have a ray on either rim, so plain area averaging would shift the picture by up to 3 / 8 of a low pixel.
    """
    down_LH = onto_rays(high_B3HW.shape[-1], low_B3HW.shape[-1], high_B3HW)
    return F.mse_loss(down_LH @ high_B3HW @ down_LH.T, low_B3HW)


def map_consistency_loss(high_M4HW: Float[Tensor, "m 4 h w"], low_M4HW: Float[Tensor, "m 4 l l"]) -> Float[Tensor, ""]:
    """The same for radiance maps, whose pixels tile their square: area averaging is exact."""
    return F.mse_loss(F.adaptive_avg_pool2d(high_M4HW, low_M4HW.shape[-1]), low_M4HW)


def onto_rays(high: int, low: int, like: Tensor) -> Float[Tensor, "l h"]:
    """Rows of a triangle filter, one low pixel wide on either side, about the place of each low ray."""
    step = (high - 1) / (low - 1)
    place_L = torch.arange(low, dtype=torch.float64) * step
    distance_LH = (torch.arange(high, dtype=torch.float64) - place_L[:, None]).abs()
    # Beyond the rim there is nothing: the filter narrows there, so that it stays centred on its ray.
    reach_L = torch.minimum(place_L, high - 1 - place_L).clamp(min=1.0).clamp(max=step)
    weight_LH = (1 - distance_LH / reach_L[:, None]).clamp(min=0)
    return (weight_LH / weight_LH.sum(1, keepdim=True)).to(like)
