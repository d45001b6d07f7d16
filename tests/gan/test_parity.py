"""The numbers of the released code, array by array, at the tolerances recorded with them.

The quick half bakes the maps at low resolution and two of 24 at high; the slow half does everything, also with the
plain oracle, which evaluates every sample.
"""

import numpy as np
import pytest
import torch
from agreement import disagreements
from oracle import Oracle
from weights import official_state_dict, synthetic_smpl

from gan.networks.film import film_style
from gan.networks.radiance_generator import LAYERS
from gan.rendering import sparse_gradients
from gan.rendering.generator import Identity
from gan.rendering.level_search import evaluate_everywhere
from gan.rendering.radiance_maps import RadianceMaps, shade_maps, super_resolve
from tests.gan.conftest import body_arrays, codes


def assert_parity(name: str, ours: torch.Tensor, expected: torch.Tensor) -> None:
    assert not list(disagreements(name, ours, expected))


@pytest.fixture(scope="module")
def low_maps(published, parity):
    """All 36 channels of the low-resolution maps and U's style."""
    code = torch.cat([parity["z_id"], parity["noise"]], 1)
    with torch.inference_mode():
        style = film_style(published.radiance_net.mapping_network(code), LAYERS + 1)
        maps = shade_maps(published.sample_net, published.radiance_net, style, published.config, chunk=8192)
        return maps, published.sr_net.mapping_network(code)[0]


@torch.inference_mode()
def test_ray_samples_and_inverse_skinning_match(published, parity):
    target, neutral = published.neutral_rays(parity["betas"], parity["pose"], parity["camera"])
    assert_parity("expected_target_points", target[:, ::8, ::8, ::8], parity["expected_target_points"])
    assert_parity("expected_neutral_points", neutral[:, ::8, ::8, ::8], parity["expected_neutral_points"])


@torch.inference_mode()
def test_radiance_maps_match(published, parity, low_maps):
    maps, style = low_maps
    assert_parity("expected_maps_lr", maps[:, :4, ::4, ::4], parity["expected_maps_lr"])
    some = [5, 20]
    high = super_resolve(published.sr_net, maps[some], style, torch.float32, chunk=2)
    assert_parity("expected_maps_hr", high[:, :, ::16, ::16], parity["expected_maps_hr"][some])


@torch.inference_mode()
def test_low_resolution_image_matches(published, parity, low_maps):
    identity = Identity(parity["z_id"], parity["betas"], RadianceMaps(low_maps[0][:, :4], None))
    frames = published.frames(identity, parity["z_exp"], parity["pose"], parity["camera"])
    assert_parity("expected_image_lr", frames.image_low_B3HW, parity["expected_image_lr"])


@pytest.mark.slow
def test_portrait_and_depth_match(published, parity):
    identity = published.identity(parity["z_id"], parity["noise"], parity["betas"])
    frames = published.frames(identity, parity["z_exp"], parity["pose"], parity["camera"])
    assert_parity("expected_maps_hr", identity.maps.high_L4HW[:, :, ::16, ::16], parity["expected_maps_hr"])
    assert_parity("expected_image_lr", frames.image_low_B3HW, parity["expected_image_lr"])
    assert_parity("expected_image", frames.image_B3HW, parity["expected_image"])
    assert_parity("expected_depth", frames.depth_BHW[:, None, ::4, ::4], parity["expected_depth"])


@pytest.mark.slow
def test_the_search_finds_what_a_complete_one_finds(published, low_maps, monkeypatch):
    """Poses, expressions and cameras: not one pixel of difference."""
    given = codes(4, seed=3)
    identity = Identity(given["z_id_1K"], given["betas_1K"], RadianceMaps(low_maps[0][:, :4], None))
    for i in range(4):
        driving = [given[name][i : i + 1] for name in ("z_exp_BK", "pose_BP3", "camera_B2")]
        quick = published.frames(identity, *driving)
        with monkeypatch.context() as patch:
            patch.setattr(sparse_gradients, "evaluate_falls", evaluate_everywhere)
            complete = published.frames(identity, *driving)
        torch.testing.assert_close(quick.image_B3HW, complete.image_B3HW, rtol=0, atol=1e-5)


@pytest.mark.slow
@torch.inference_mode()
def test_oracle_matches_too(parity):
    """The plain implementation that speed is measured against computes the same thing."""
    oracle = Oracle(official_state_dict(7), synthetic_smpl(0), np.arange(0, 6890, 2))
    maps = oracle.radiance_maps(parity["z_id"], parity["noise"])
    frame = oracle.frame(
        maps, *(parity[k] for k in ("z_id", "z_exp")), *(parity[k][0] for k in ("betas", "pose", "camera"))
    )
    assert_parity("expected_maps_hr", maps[1][:, :, ::16, ::16], parity["expected_maps_hr"])
    assert_parity("expected_image", frame["image"][None], parity["expected_image"])
    assert_parity("expected_depth", frame["depth"][:, None, ::4, ::4].movedim(0, 0), parity["expected_depth"])


def test_fallback_subset_is_the_upper_body():
    body = body_arrays()
    subset = body.upper_body(0.1)
    assert 0 < len(subset) < len(body.v_template)
    assert (body.weights[subset][:, [9, 12, 13, 14, 15, 16, 17]].sum(1) >= 0.9).all()
