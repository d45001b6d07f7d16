"""Level sets, compositing and whole frames of a tiny generator."""

import dataclasses

import numpy as np
import pytest
import torch

from gan.config import preview
from gan.rendering.compositing import composite, compositing_weights
from gan.rendering.deformed_rays import resample
from gan.rendering.generator import Generator, Identity
from gan.rendering.level_sets import at_crossings, find_crossings
from gan.rendering.mean_modulations import mean_modulations
from gan.rendering.radiance_maps import map_rays, super_resolve
from tests.gan.conftest import TINY, body_arrays, codes, tiny_generator

# -- level sets


def search_plainly(s, levels, falling_only):
    """Every interval of every ray in turn."""
    near = np.full((len(s), len(levels)), s.shape[1] - 2)
    found = np.zeros(near.shape, bool)
    for r, ray in enumerate(s):
        for i, level in enumerate(levels):
            for k in range(len(ray) - 1):
                falls, rises = ray[k] >= level >= ray[k + 1], ray[k] <= level <= ray[k + 1]
                if falls or (rises and not falling_only):
                    near[r, i], found[r, i] = k, True
                    break
    return near, found


@pytest.mark.parametrize("falling_only", [True, False])
def test_search_is_the_plain_one(falling_only):
    random = np.random.default_rng(0)
    s = (random.standard_normal((60, 20)).cumsum(1) * 2 + 10).astype(np.float32)
    s = np.round(s * 2) / 2  # many samples lie exactly on a level
    levels = np.linspace(15, 5, 9, dtype=np.float32)
    crossings = find_crossings(torch.from_numpy(s), torch.from_numpy(levels), 0.05, falling_only)
    near, found = search_plainly(s, levels, falling_only)
    assert np.array_equal(crossings.near_RL.numpy(), near)
    assert np.array_equal(crossings.found_RL.numpy(), found)
    if falling_only:
        assert torch.equal(crossings.found_RL, crossings.valid_RL)


def test_hits_lie_on_their_level_and_misses_on_the_last_sample():
    s = torch.tensor([[9.0, 8.0, 4.0, 3.0]])
    values = torch.stack([s, torch.arange(4.0)[None]], -1)
    crossings = find_crossings(s, torch.tensor([8.5, 5.0, 1.0]), 0.05, falling_only=True)
    assert crossings.valid_RL.tolist() == [[True, True, False]]
    hits = at_crossings(values, crossings)
    torch.testing.assert_close(hits[0, :, 0], torch.tensor([8.5, 5.0, 3.0]))
    torch.testing.assert_close(hits[0, :, 1], torch.tensor([0.5, 1.75, 3.0]))


def test_a_rise_is_picked_but_invalid_when_any_change_counts():
    s = torch.tensor([[2.0, 6.0, 2.0]])
    level = torch.tensor([4.0])
    rising = find_crossings(s, level, 0.05, falling_only=False)
    assert (rising.near_RL.item(), rising.found_RL.item(), rising.valid_RL.item()) == (0, True, False)
    falling = find_crossings(s, level, 0.05, falling_only=True)
    assert (falling.near_RL.item(), falling.valid_RL.item()) == (1, True)


def test_touching_a_level_from_above_is_a_hit():
    """Seen in the released code's maps: s comes down to the level to the last bit and rises again."""
    for falling_only in (True, False):
        crossings = find_crossings(torch.tensor([[6.0, 5.5, 5.0, 5.5]]), torch.tensor([5.0]), 0.05, falling_only)
        assert crossings.valid_RL.item()
        assert (crossings.near_RL.item(), crossings.fraction_RL.item()) == (1, 1.0)


def test_small_steps_take_the_far_end():
    crossings = find_crossings(torch.tensor([[5.01, 4.99]]), torch.tensor([5.0]), 0.05, falling_only=True)
    assert crossings.valid_RL.item()
    assert crossings.fraction_RL.item() == 1


def test_resampling_keeps_end_points_and_lines():
    coarse = torch.linspace(0, 1, 16)[None, :, None] * torch.tensor([1.0, -2.0, 3.0])
    fine = resample(coarse, torch.arange(64), 64)
    torch.testing.assert_close(fine[0], torch.linspace(0, 1, 64)[:, None] * torch.tensor([1.0, -2.0, 3.0]))


# -- compositing


def layers(count=5, size=6, seed=0):
    random = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=random)  # noqa: E731
    return draw(count, 4, size, size), 1 + draw(count, size, size), draw(count, size, size) > 0.3


def test_weights_and_background_add_up_to_one():
    alpha = torch.rand(24, 100, dtype=torch.float64)
    background = torch.prod(1 - alpha, 0)
    torch.testing.assert_close(compositing_weights(alpha).sum(0) + background, torch.ones(100).double())


def test_colour_is_the_sum_of_equation_8_in_any_order_of_the_layers():
    rgba, distance, valid = layers()
    picture = composite(rgba, distance, valid)
    shuffle = torch.randperm(5, generator=torch.Generator().manual_seed(1))
    again = composite(rgba[shuffle], distance[shuffle], valid[shuffle])
    torch.testing.assert_close(picture.image_3HW, again.image_3HW)
    pixel = (2, 3)
    passed, colour = 1.0, torch.zeros(3)
    for i in sorted(range(5), key=lambda i: distance[i][pixel]):
        if valid[i][pixel]:
            colour += passed * rgba[i, 3][pixel] * rgba[i, :3, pixel[0], pixel[1]]
            passed *= 1 - rgba[i, 3][pixel]
    torch.testing.assert_close(picture.image_3HW[:, pixel[0], pixel[1]], 2 * (colour + passed) - 1)


def test_an_empty_ray_is_white_without_depth():
    rgba, distance, valid = layers()
    picture = composite(rgba, distance, torch.zeros_like(valid))
    assert torch.equal(picture.image_3HW, torch.ones(3, 6, 6))
    assert picture.depth_HW.isnan().all()
    assert torch.equal(picture.opacity_HW, torch.zeros(6, 6))


def test_an_opaque_layer_hides_what_is_behind():
    rgba, distance, _ = layers(count=2)
    rgba[0, 3] = 1
    distance[0], distance[1] = 1.0, 2.0
    picture = composite(rgba, distance, torch.ones(2, 6, 6, dtype=torch.bool))
    torch.testing.assert_close(picture.image_3HW, 2 * rgba[0, :3] - 1)
    torch.testing.assert_close(picture.depth_HW, torch.ones(6, 6))


# -- maps and frames


def test_map_rays_run_down_z_with_rows_from_low_y():
    rays = map_rays(TINY, torch.zeros(1)).view(24, 24, 32, 3)
    assert (rays[..., 1:, 2] < rays[..., :-1, 2]).all()
    assert (rays[1:, ..., 1] > rays[:-1, ..., 1]).all()
    assert (rays[:, 1:, :, 0] > rays[:, :-1, :, 0]).all()
    torch.testing.assert_close(
        rays[..., 2].aminmax(), torch.return_types.aminmax((torch.tensor(-0.2), torch.tensor(0.2)))
    )


def bake(generator: Generator, given) -> Identity:
    return generator.identity(given["z_id_1K"], given["noise_1K"], given["betas_1K"])


def drive(given, frame=slice(None)):
    return [given[name][frame] for name in ("z_exp_BK", "pose_BP3", "camera_B2")]


def test_something_is_seen_and_in_range(tiny):
    given = codes(1)
    frames = tiny.frames(bake(tiny, given), *drive(given))
    assert frames.opacity_BHW.max() > 0.005
    assert frames.image_B3HW.shape == (1, 3, 40, 40)
    assert frames.image_low_B3HW.shape == (1, 3, 16, 16)
    assert frames.image_B3HW.abs().max() <= 1 + 1e-5
    assert torch.equal(frames.depth_BHW.isnan(), frames.opacity_BHW == 0)


def test_a_batch_of_frames_equals_one_by_one(tiny):
    given = codes(4)
    identity = bake(tiny, given)
    together = tiny.frames(identity, *drive(given))
    alone = [tiny.frames(identity, *drive(given, slice(i, i + 1))) for i in range(4)]
    for name, batch in together._asdict().items():
        assert torch.equal(batch.nan_to_num(), torch.cat([getattr(frame, name) for frame in alone]).nan_to_num()), name


@pytest.mark.parametrize("view", ["portrait", "face"])
def test_a_larger_image_passes_through_the_pixels_of_a_smaller_one(tiny, view):
    """Hits are interpolated with end points aligned: of 46 pixels every third is one of the 16 rays."""
    given = codes(1)
    identity = bake(tiny, given)
    small, large, odd = (
        tiny.frames(identity, *drive(given), view=view, config=dataclasses.replace(TINY, image_size=n))
        for n in (16, 46, 33)
    )
    assert odd.image_B3HW.shape == (1, 3, 33, 33)
    torch.testing.assert_close(large.image_B3HW[..., ::3, ::3], small.image_B3HW, atol=1e-3, rtol=0)


def test_preview_shows_about_the_same():
    config = dataclasses.replace(TINY, ray_size=32, image_size=64, coarse_samples=32, fine_samples=128)
    generator, given = Generator(body_arrays(400), config), codes(1)
    identity = bake(generator, given)
    full = generator.frames(identity, *drive(given)).image_B3HW
    quick = generator.frames(identity, *drive(given), config=preview(config)).image_B3HW
    assert quick.shape == (1, 3, 32, 32)
    assert abs(quick.mean() - full.mean()) < 0.1


def test_expression_pose_and_camera_each_change_the_picture(tiny):
    given, other = codes(1), codes(1, seed=5)
    identity = bake(tiny, given)
    base = tiny.frames(identity, *drive(given)).image_B3HW
    for i in range(3):
        inputs = drive(given)
        inputs[i] = drive(other)[i]
        assert (tiny.frames(identity, *inputs).image_B3HW - base).abs().max() > 1e-4


def test_maps_are_cached_until_codes_or_weights_change(tiny):
    given = codes(1)
    first = bake(tiny, given)
    assert bake(tiny, given) is first
    assert bake(tiny, codes(1, seed=2)) is not first
    assert bake(tiny, given) is first  # two are kept
    with torch.no_grad():
        tiny.radiance_net.output_color[0].bias += 1
    assert bake(tiny, given) is not first
    assert len(tiny._cache) == 2


def test_bfloat16_super_resolution_stays_close(published):
    """50 dB at published size, on a crop of one map: the type only runs U."""
    random = torch.Generator().manual_seed(0)
    maps = torch.rand(1, 36, 24, 24, generator=random)
    with torch.inference_mode():
        style = published.sr_net.mapping_network(torch.randn(1, 160, generator=random))[0]
        full, half = (super_resolve(published.sr_net, maps, style, t, 1) for t in (torch.float32, torch.bfloat16))
    assert half.dtype == torch.float32
    assert -10 * torch.log10((full - half).square().mean()) > 50


def test_truncation_reaches_from_the_mean_person_to_no_change(tiny):
    given = codes(1)
    labels = torch.randn(7, 80, generator=torch.Generator().manual_seed(4))
    mean = mean_modulations(tiny, labels, seed=0, draws=50)
    assert mean.psi == 0.7
    again = mean_modulations(tiny, labels, seed=0, draws=50)
    assert torch.equal(mean.radiance_K, again.radiance_K)
    plain = tiny.radiance_maps(given["z_id_1K"], given["noise_1K"])
    none = tiny.radiance_maps(given["z_id_1K"], given["noise_1K"], dataclasses.replace(mean, psi=1.0))
    torch.testing.assert_close(none.high_L4HW, plain.high_L4HW, atol=1e-5, rtol=0)
    people = [codes(1, seed=s) for s in (1, 2)]
    at_zero = [tiny.radiance_maps(p["z_id_1K"], p["noise_1K"], dataclasses.replace(mean, psi=0.0)) for p in people]
    torch.testing.assert_close(at_zero[0].high_L4HW, at_zero[1].high_L4HW)
    assert not torch.allclose(at_zero[0].high_L4HW, plain.high_L4HW)


def test_gradients_reach_every_network_of_their_stage():
    generator = tiny_generator()
    given = codes(2)
    for stage, frozen in ((1, {"sr_net"}), (2, set())):
        generator.zero_grad()
        maps = generator.radiance_maps(given["z_id_1K"], given["noise_1K"], high=stage == 2)
        identity = Identity(given["z_id_1K"], given["betas_1K"], maps)
        generator.render(identity, *drive(given)).image_B3HW.square().sum().backward()
        for name in ("radiance_net", "sample_net", "deform_net", "smoother", "sr_net"):
            gradients = [p.grad for p in getattr(generator, name).parameters() if p.grad is not None]
            reached = any(g.abs().max() > 0 for g in gradients)
            assert reached == (name not in frozen), f"{name} in stage {stage}"


def test_frames_of_a_body_without_pose_blend_shapes():
    body = dataclasses.replace(body_arrays(400), posedirs=None)
    generator = Generator(body, TINY)
    given = codes(1)
    assert generator.frames(bake(generator, given), *drive(given)).image_B3HW.isfinite().all()
