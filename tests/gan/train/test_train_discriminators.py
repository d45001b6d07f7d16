"""Critics see what the paper says they see, and learn from it."""

import pytest
import torch

from dataprep.errors import ConfigError
from gan.networks.critics import CoordConv, Critic, CriticConfig, Critics, CriticSizes, PatchCritic, torso_rows

SMALL = CriticConfig(max_width=16, width_at_128=4)


def pictures(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("height", [16, 128, 512])
def test_torso_is_exactly_the_last_quarter_of_the_rows(height: int) -> None:
    rows = torch.arange(height, dtype=torch.float32).view(1, 1, height, 1).expand(1, 3, height, 2)
    seen = torso_rows(rows)[0, 0, :, 0]
    assert seen.tolist() == list(range(3 * height // 4, height))


def test_a_height_without_quarters_is_refused() -> None:
    with pytest.raises(ConfigError, match="30 rows"):
        torso_rows(torch.zeros(1, 3, 30, 30))


def test_the_torso_critic_is_blind_to_the_face() -> None:
    torch.manual_seed(0)
    critics = Critics(CriticSizes(32, 16), SMALL)
    portrait = pictures(2, 3, 32, 32).requires_grad_()
    verdicts = critics(portrait, pictures(2, 3, 16, 16))
    assert verdicts.torso is not None
    (gradient,) = torch.autograd.grad(verdicts.torso.logit_B.sum(), portrait)
    assert (gradient[:, :, :24] == 0).all()
    assert (gradient[:, :, 24:] != 0).any((1, 3)).all()  # every one of the last 8 rows counts


def test_published_sizes_have_the_expected_depth() -> None:
    """128 -> 2 in six halvings, widths 64 .. 400; the torso's 32 x 128 in four, its last convolution 2 x 8."""
    whole, torso = Critic(128, 128), Critic(32, 128)
    assert (len(whole.blocks), len(torso.blocks)) == (6, 4)
    assert whole.from_rgb.out_channels == torso.from_rgb.out_channels == 64
    assert whole.last.weight.shape == (1, 400, 2, 2)
    assert torso.last.weight.shape == (1, 400, 2, 8)
    assert len(Critic(512, 512).blocks) == 8


def test_coordinates_tell_places_apart() -> None:
    conv = CoordConv(1, 1, 1)
    torch.nn.init.zeros_(conv.conv.weight)
    with torch.no_grad():
        conv.conv.weight[0, 1], conv.conv.weight[0, 2] = 1, 10  # x + 10 y
    out = conv(torch.zeros(1, 1, 3, 3))[0, 0]
    assert out.tolist() == [[-11, -10, -9], [-1, 0, 1], [9, 10, 11]]


def test_samples_do_not_influence_each_other() -> None:
    """No batch statistics: R1 needs the gradient of a logit with respect to its own picture alone."""
    torch.manual_seed(0)
    critic, patch = Critic(16, 16, SMALL), PatchCritic(4)
    images = pictures(3, 3, 64, 64)
    torch.testing.assert_close(critic(images[..., :16, :16]).logit_B[1:2], critic(images[1:2, :, :16, :16]).logit_B)
    torch.testing.assert_close(patch(images)[1:2], patch(images[1:2]))


def test_patch_critic_sees_patches_of_70_pixels() -> None:
    torch.manual_seed(0)
    image = pictures(1, 3, 128, 128).requires_grad_()
    logits = PatchCritic(4)(image)
    assert logits.shape == (1, 14, 14)
    (gradient,) = torch.autograd.grad(logits[0, 7, 7], image)
    rows = (gradient[0] != 0).any(0).any(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == 70


def test_camera_head_and_ablations() -> None:
    critic = Critic(16, 16, CriticConfig(max_width=8, width_at_128=4, regress_camera=True))
    camera = critic(pictures(2, 3, 16, 16)).camera_B2
    assert camera is not None
    assert camera.shape == (2, 2)
    alone = Critics(CriticSizes(16, 8), SMALL, with_face=False, with_torso=False)
    verdicts = alone(pictures(1, 3, 16, 16), pictures(1, 3, 8, 8))
    assert verdicts.face is verdicts.torso is verdicts.patch_BPQ is None


def test_wrong_sizes_are_refused() -> None:
    with pytest.raises(ConfigError, match="power of two"):
        Critic(48, 48)
    with pytest.raises(ConfigError, match="was shown"):
        Critic(16, 16, SMALL)(torch.zeros(1, 3, 32, 32))


def test_a_critic_learns_where_a_square_is() -> None:
    torch.manual_seed(0)
    critic = Critic(16, 16, SMALL)
    optimiser = torch.optim.Adam(critic.parameters(), 3e-3, betas=(0.0, 0.9))
    left, right = torch.full((2, 3, 16, 16), -1.0), torch.full((2, 3, 16, 16), -1.0)
    left[..., 4:8, 1:5], right[..., 4:8, 11:15] = 1, 1
    for _ in range(40):
        loss = torch.nn.functional.softplus(critic(left).logit_B - critic(right).logit_B).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert (critic(right).logit_B > critic(left).logit_B + 3).all()
