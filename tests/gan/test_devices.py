"""Every tensor is made where its inputs are: torch's meta device refuses to mix with the CPU's."""

import pytest
import torch
from conftest import TINY, body_arrays, codes

from gan.rendering.compositing import render_hits
from gan.rendering.generator import Generator
from gan.rendering.radiance_maps import map_rays


@pytest.fixture(scope="module")
def elsewhere() -> Generator:
    return Generator(body_arrays(400), TINY).to("meta")


@pytest.fixture(scope="module")
def given() -> dict[str, torch.Tensor]:
    return {name: value.to("meta") for name, value in codes(2).items()}


@pytest.mark.parametrize("view", ["portrait", "face"])
def test_bodies_rays_nearest_vertices_and_smoothing(elsewhere, given, view):
    betas_BK = given["betas_1K"].expand(2, -1)
    target, neutral = elsewhere.neutral_rays(betas_BK, given["pose_BP3"], given["camera_B2"], view)
    assert target.is_meta
    assert neutral.is_meta


def test_networks(elsewhere, given):
    points_1N3 = map_rays(TINY, given["z_id_1K"]).flatten(0, 1)[None]
    code_1K = torch.cat([given["z_id_1K"], given["noise_1K"]], 1)
    moved = elsewhere.deform_net(points_1N3, elsewhere.deform_net.style(given["z_id_1K"], given["z_exp_BK"][:1]))
    assert elsewhere.sample_net(moved[0]).is_meta
    shaded = elsewhere.radiance_net(points_1N3, elsewhere.radiance_net.style(code_1K))
    maps = shaded[0, : 24 * 24].T.unflatten(1, (24, 24))[None]
    with torch.inference_mode():
        assert elsewhere.sr_net(maps, elsewhere.sr_net.mapping_network(code_1K)[0]).shape == (1, 4, 96, 96)


def test_compositing(elsewhere, given):
    hits_L3HW, valid_L1HW = torch.rand(6, 3, 16, 16, device="meta"), torch.ones(6, 1, 16, 16, device="meta")
    maps_L4HW = torch.rand(6, 4, 24, 24, device="meta")
    picture = render_hits(maps_L4HW, hits_L3HW, valid_L1HW, torch.zeros(3, device="meta"), TINY, 40)
    assert picture.image_3HW.is_meta
