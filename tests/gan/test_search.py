"""The search for falls against evaluating every sample: on curves made to mislead it, and on random networks."""

import dataclasses
import math

import pytest
import torch
from conftest import TINY, body_arrays, codes

from gan.rendering.deformed_rays import DeformedField, resample
from gan.rendering.generator import Generator
from gan.rendering.level_search import STRIDE, evaluate_everywhere, evaluate_falls
from gan.rendering.level_sets import find_crossings

SAMPLES = 256
LEVELS = torch.linspace(23, 8, 24)


class Curves:
    """A field over points (ray, sample, 0) that looks its answers up, and counts how many were asked for."""

    def __init__(self, s_RS: torch.Tensor) -> None:
        self.s_RS, self.asked = s_RS, 0
        grid = torch.meshgrid(torch.arange(s_RS.shape[0]), torch.arange(s_RS.shape[1]), indexing="ij")
        self.points_RS3 = torch.stack([*grid, torch.zeros_like(grid[0])], -1).to(s_RS.dtype)

    def __call__(self, points_N3: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.asked += len(points_N3)
        ray, sample, _ = points_N3.long().unbind(1)
        return self.s_RS[ray, sample], points_N3 * 2

    def share(self) -> float:
        return self.asked / self.s_RS.numel()


def assert_same_falls(s_RS: torch.Tensor, levels_L: torch.Tensor = LEVELS) -> float:
    """Compare crossings, and everything at their ends; return the share of samples that were evaluated."""
    curves = Curves(s_RS)
    found_s, found_other = evaluate_falls(curves, curves.points_RS3, levels_L)
    share = curves.share()
    every_s, every_other = evaluate_everywhere(curves, curves.points_RS3, levels_L)
    quick, full = (find_crossings(s, levels_L, 0.05, falling_only=True) for s in (found_s, every_s))
    for a, b in zip(quick, full, strict=True):
        assert torch.equal(a, b)
    rays = torch.arange(len(s_RS))[:, None].expand_as(quick.near_RL)
    for step, used_RL in ((0, quick.found_RL), (1, torch.ones_like(quick.found_RL))):  # a miss takes the last sample
        ends = rays[used_RL], quick.near_RL[used_RL] + step
        assert torch.equal(found_s[ends], every_s[ends])
        assert torch.equal(found_other[ends], every_other[ends])
    return share


def smooth(rays: int, seed: int, samples: int = SAMPLES) -> torch.Tensor:
    random, t = torch.Generator().manual_seed(seed), torch.linspace(0, 1, samples)
    draw = lambda: torch.randn(rays, 1, generator=random)  # noqa: E731
    return 15 + sum(3 * draw() * torch.sin(2 * math.pi * (f * t + draw())) for f in (0.5, 1, 2, 4))


def test_smooth_curves_need_few_samples():
    assert assert_same_falls(smooth(2000, 0)) < 0.8


def test_shells_passed_once_need_half_the_samples():
    """What rays see: s falls through levels, turns and rises again. The rise is not looked at closely."""
    t, bottom = torch.linspace(-1, 1, SAMPLES), torch.linspace(5, 20, 500)[:, None]
    assert assert_same_falls(bottom + 15 * t.square()) < 0.55


@pytest.mark.parametrize("samples", [2, 9, 127, 128, 129, 130, 131, 132])
def test_any_number_of_samples(samples):
    assert_same_falls(smooth(50, 1, samples))


def test_corners_anywhere_between_knots():
    """Piecewise linear, as ReLU networks are: one corner at every place between two knots, up and down."""
    t = torch.arange(SAMPLES, dtype=torch.float32)
    corner, slope = torch.linspace(100, 116, 161)[:, None], torch.tensor([-0.3, 0.02, 0.3])
    for before in slope:
        for after in slope:
            assert_same_falls(16 + torch.where(t < corner, before, after) * (t - corner))


def test_samples_exactly_on_levels_and_at_knots():
    """Ties: s rests on levels, touches them, and passes them at knots."""
    levels = torch.arange(24, 7, -1).float()
    t = torch.arange(SAMPLES)
    rows = [16 + torch.round(8 * torch.sin(t / p + q)) for p in (7, 23, 40) for q in range(8)]
    rows += [levels[(t // STRIDE) % len(levels)], torch.full((SAMPLES,), 16.0), 24 - t / 16]
    assert_same_falls(torch.stack(rows), levels)


def test_dips_between_knots_are_found_once_one_is_seen():
    """Noise breaks the supposition about steps; the check notices and evaluates everything."""
    random = torch.Generator().manual_seed(0)
    s = smooth(300, 2) + 2 * torch.randn(300, SAMPLES, generator=random)
    assert assert_same_falls(s) > 1


def test_far_away_rays_cost_their_knots_only():
    share = assert_same_falls(smooth(1000, 3) + 500)
    assert 1 / STRIDE < share < 1 / STRIDE + 0.05


@pytest.mark.parametrize("wrinkles", [0.01, 0.2])
@torch.inference_mode()
def test_random_networks(wrinkles):
    """At the published 64 and 256 samples, also with displacements a hundred times those of the parity weights."""
    config = dataclasses.replace(TINY, coarse_samples=64, fine_samples=SAMPLES, levels=24)
    for seed in range(4):
        torch.manual_seed(seed)
        generator, given = Generator(body_arrays(400), config), codes(1, seed)
        torch.nn.init.normal_(generator.deform_net.final_layer.weight, 0, wrinkles)
        _, neutral = generator.neutral_rays(given["betas_1K"], given["pose_BP3"], given["camera_B2"])
        style = generator.deform_net.style(given["z_id_1K"], given["z_exp_BK"])
        field = DeformedField(generator.deform_net, generator.sample_net, style, chunk=8192)
        points = resample(neutral[0].flatten(0, 1), torch.arange(SAMPLES), SAMPLES)
        s = evaluate_everywhere(field, points, LEVELS)[0]
        assert find_crossings(s, LEVELS, 0.05, falling_only=True).valid_RL.float().mean() > 0.05  # something is hit
        assert_same_falls(s)
