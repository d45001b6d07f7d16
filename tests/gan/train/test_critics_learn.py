"""Every critic learns, with its R1, to tell pictures from obvious fakes; one that cannot teaches nothing."""

from pathlib import Path

import cv2
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dataprep.pictures.codecs import decode_rgb
from gan.losses import AdversarialWeights, critics_loss
from gan.networks.critics import CriticConfig, Critics, CriticSizes, Verdicts
from gan.presets import preset

PHOTOS = Path(__file__).parents[3] / "samples/people/photos"
STEPS, BATCH = 80, 4


@pytest.fixture(scope="module")
def portraits() -> Tensor:
    """Heads and shoulders of the sample people in [-1, 1], 128 px: the upper square of each photograph."""
    pictures = [decode_rgb(path.read_bytes()) for path in sorted(PHOTOS.glob("p0[23]?.jpg"))]
    squares = [picture[: picture.shape[1]] for picture in pictures if picture.shape[0] > picture.shape[1]]
    small = [cv2.resize(square, (128, 128), interpolation=cv2.INTER_AREA) for square in squares]
    return torch.stack([torch.from_numpy(one) for one in small]).permute(0, 3, 1, 2) / 127.5 - 1


def learn(critics: Critics, real: Tensor, fake: Tensor, gamma: float, rate: float) -> None:
    """Train as `shhq-hs train` does, for STEPS steps."""
    optimiser = torch.optim.Adam(critics.parameters(), rate, betas=(0.0, 0.9))
    random = torch.Generator().manual_seed(0)
    for _ in range(STEPS):
        shown = real[torch.randint(len(real), (BATCH,), generator=random)].requires_grad_()
        made = fake[torch.randint(len(fake), (BATCH,), generator=random)]
        loss, _ = critics_loss(critics(shown, shown), critics(made, made), shown, shown, AdversarialWeights(), gamma)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(critics.parameters(), 0.3)
        optimiser.step()


@torch.no_grad()
def told_apart(critics: Critics, real: Tensor, fake: Tensor) -> dict[str, float]:
    """By critic: the part of verdicts, half on pictures and half on fakes, that are on the right side."""
    pairs = [(name, logits(critics(real, real), name), logits(critics(fake, fake), name)) for name in _names(critics)]
    return {
        name: float((of_real > 0).float().mean() + (of_fake < 0).float().mean()) / 2 for name, of_real, of_fake in pairs
    }


def _names(critics: Critics) -> list[str]:
    return [name for name in ("whole", "face", "torso", "patch") if getattr(critics, name) is not None]


def logits(verdicts: Verdicts, name: str) -> Tensor:
    said = verdicts.patch_BPQ if name == "patch" else getattr(verdicts, name).logit_B
    assert isinstance(said, Tensor)
    return said


@pytest.mark.slow
def test_the_patch_critic_tells_sharp_from_blurred(portraits: Tensor) -> None:
    """With R1 of the patches' sum, half of them were on the right side: it knew nothing."""
    torch.manual_seed(0)
    critics = Critics(CriticSizes(128, 128), CriticConfig(max_width=8, width_at_128=4), False, False, patch_width=16)
    small = F.interpolate(portraits, scale_factor=1 / 4, mode="area")
    blurred = F.interpolate(small, size=portraits.shape[2:], mode="bilinear")
    settings = preset("paper-stage2")
    learn(critics, portraits, blurred, settings.r1_gamma, settings.critic_lr)
    assert told_apart(critics, portraits, blurred)["patch"] > 0.6


def test_each_critic_tells_people_from_the_mean_person(portraits: Tensor) -> None:
    torch.manual_seed(0)
    small = F.interpolate(portraits, size=(32, 32), mode="area")
    mean = small.mean(0, keepdim=True).expand_as(small) + 0.05 * torch.randn(small.shape)
    settings = preset("tiny")
    critics = Critics(CriticSizes(32, 32), settings.critic)
    learn(critics, small, mean, settings.r1_gamma, settings.critic_lr)
    assert min(told_apart(critics, small, mean).values()) > 0.9
