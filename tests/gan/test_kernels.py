"""Loops in machine code against float64, at the arguments networks give them."""

import numpy as np
import pytest
import torch

from gan import kernels
from gan.compositing import in_machine_code, render_hits
from gan.config import GeneratorConfig
from gan.pointwise import sine


@pytest.mark.parametrize("largest", [1.0, 300.0, 30_000.0])
def test_sine_is_that_of_float64(largest):
    random = np.random.default_rng(0)
    x = np.concatenate([largest * (2 * random.random(100_001) - 1), np.pi / 2 * np.arange(-9, 10), [0.0, -0.0]])
    x = x.astype(np.float32).clip(-largest, largest)
    found = x.copy()
    kernels.sine(found)
    assert np.abs(found - np.sin(x.astype(np.float64))).max() < 2e-7
    assert np.abs(found).max() <= 1 + 1e-6


def test_sine_of_what_is_no_number():
    x = np.array([np.nan, np.inf, -np.inf], np.float32)
    kernels.sine(x)
    assert np.isnan(x).all()


@pytest.mark.parametrize("threads", [1, kernels.FEW_THREADS + 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_both_ways_agree_for_any_type_and_layout(threads, dtype):
    torch.set_num_threads(threads)  # a fixture sets it back
    x = torch.linspace(-50, 50, 3000, dtype=dtype).view(3, 1000)
    for given in (x, x.T, x[:, ::2]):
        expected = torch.sin(given.double())
        with torch.no_grad():
            found = sine(given.clone(memory_format=torch.preserve_format))
        torch.testing.assert_close(found.double(), expected, atol=1e-2 if dtype == torch.bfloat16 else 3e-7, rtol=0)


def test_gradients_take_torch_s_own():
    x = torch.linspace(-9, 9, 50, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(sine, x)
    assert not kernels.suits(torch.zeros(3))


def scene(seed: int, levels: int = 7, rays: int = 12) -> tuple[torch.Tensor, ...]:
    """Maps, and hits in any order of depth: misses, hits beyond the maps' borders, and two layers in one place."""
    random = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=random)  # noqa: E731
    maps, hits = draw(levels, 4, 9, 11), 0.8 * (draw(levels, 3, rays, rays) - 0.5)
    hits[3] = hits[5]
    return maps, hits, (draw(levels, 1, rays, rays) > 0.3).float(), torch.tensor([0.1, 0.2, 1.5])


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [12, 13, 37])
def test_compositing_in_machine_code_is_that_of_torch(size, threads):
    torch.set_num_threads(threads)
    for seed in range(3):
        maps, hits, valid, origin = scene(seed)
        valid[:, :, :3, :3] = 0  # nothing is hit there
        slow = render_hits(maps, hits, valid, origin, GeneratorConfig(), size)  # with gradients
        with torch.no_grad():
            assert in_machine_code(maps)
            quick = render_hits(maps, hits, valid, origin, GeneratorConfig(), size)
        assert slow.depth_HW.isnan().any()
        for name, expected in slow._asdict().items():
            torch.testing.assert_close(getattr(quick, name), expected, atol=2e-5, rtol=1e-5, equal_nan=True, msg=name)
