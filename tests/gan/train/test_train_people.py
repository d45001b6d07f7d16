"""Several people at once are what they are one by one; M begins about the body."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dataprep.models.body.smpl import load_body
from gan.config import COORDINATE_SCALE, GeneratorConfig
from gan.data.priors import Codes
from gan.rendering.body_arrays import BodyArrays, body_arrays
from gan.rendering.generator import Generator, Identity, View
from gan.training.people import render_people, shade_people
from gan.training.warm_start.beginnings import REACH_IN, REACH_OUT, begin_at_body, body_heights

NETS = GeneratorConfig(
    image_size=16, ray_size=16, map_size=12, coarse_samples=8, fine_samples=24, map_samples=16, levels=4,
    deform_width=8, manifold_width=32, radiance_width=16, features=4, sr_width=4, sr_growth=4, sr_blocks=1,
    opacity_scale=1.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def body() -> BodyArrays:
    return body_arrays(load_body())


def test_together_is_one_by_one(body: BodyArrays) -> None:
    torch.manual_seed(2)
    generator = Generator(body, NETS, body.upper_body(0.1)[::20])
    people = 3
    shapes = ((80,), (10,), (64,), (80,), (6, 3), (2,), (2,))
    codes = Codes(*(0.2 * torch.randn(people, *shape) for shape in shapes))
    codes = codes._replace(camera_B2=codes.camera_B2 + np.pi / 2, face_camera_B2=codes.face_camera_B2 + np.pi / 2)
    maps = shade_people(generator, codes.z_id_BK, codes.noise_BK)
    views: tuple[View, View] = ("portrait", "face")
    together = {view: render_people(generator, maps, codes, view) for view in views}
    for i in range(people):
        one = Codes(*(value[i : i + 1] for value in codes))
        alone = generator.radiance_maps(one.z_id_BK, one.noise_BK, high=False)
        torch.testing.assert_close(maps[i], alone.low_L4HW, rtol=1e-4, atol=1e-4)
        identity = Identity(one.z_id_BK, one.betas_BK, alone)
        for view, camera in zip(views, (one.camera_B2, one.face_camera_B2), strict=True):
            picture = generator.render(identity, one.z_exp_BK, one.pose_BP3, camera, view).image_B3HW
            torch.testing.assert_close(together[view][i : i + 1], picture, rtol=1e-3, atol=1e-3)
    together["face"].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in generator.radiance_net.network.parameters())


def test_m_begins_as_heights_above_the_body(body: BodyArrays) -> None:
    torch.manual_seed(0)
    generator = Generator(body, replace(NETS, manifold_width=48), body.upper_body(0.1)[::20])
    begin_at_body(generator, body, seed=0)
    points, height = body_heights(body)
    inside, far = points[height < -0.02], points[height > 0.07]
    assert len(inside) > 1000
    assert np.abs(inside[:, 0]).min() < 0.02  # the neck lies at x = 0
    with torch.no_grad():
        s = generator.sample_net(torch.from_numpy(points * COORDINATE_SCALE).float()).numpy()
    fitted = REACH_OUT + (s - NETS.level_first) / (NETS.level_first - NETS.level_last) * (REACH_OUT + REACH_IN)
    near = np.abs(height) < REACH_OUT
    assert np.abs(fitted - height)[near].mean() < 0.012
    assert (fitted[height > 0.07] > REACH_OUT).mean() > 0.95  # no level set out there: the background stays white
    assert len(far) > 1000
