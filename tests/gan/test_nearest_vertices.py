"""The search of a GPU against the KD-tree: on the shipped models, on ties, and in bounded memory."""

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from dataprep.models.body.smpl import load_body
from dataprep.models.face.bfm import load_face
from gan.config import GeneratorConfig
from gan.rendering.body_arrays import body_arrays
from gan.rendering.cameras import ray_samples
from gan.rendering.generator import Generator
from gan.rendering.nearest_vertices import SCORES_BYTES, exhaustive_nearest, nearest_vertex
from gan.training.machine.live_bytes import LiveBytes
from tests.gan.conftest import body_arrays as parity_arrays
from tests.gan.conftest import codes

MILLIONS = 5_000_000


def posed(name: str) -> tuple[Generator, Tensor]:
    """Return a generator of the shipped body or of SMPL's format, and its vertices in some pose."""
    arrays = body_arrays(load_body()) if name == "shipped" else parity_arrays()
    subset = None if name == "shipped" else np.arange(0, 6890, 2)
    generator, given = Generator(arrays, GeneratorConfig(), subset), codes(1)
    return generator, generator.body(given["betas_1K"], given["pose_BP3"]).vertices_BV3[0]


def queries(generator: Generator, count: int) -> Tensor:
    """Return samples of rays of both cameras, as they are looked up, and points anywhere about the body."""
    random = torch.Generator().manual_seed(1)
    given = codes(1)
    rays = [ray_samples(camera, given["camera_B2"], 64, 32).reshape(-1, 3) for camera in generator.cameras.values()]
    anywhere = torch.rand(max(0, count - sum(map(len, rays))), 3, generator=random) - 0.5
    points = torch.cat([*rays, anywhere])
    return points[torch.randperm(len(points), generator=random)[:count]]


def assert_like_the_tree(points: Tensor, vertices: Tensor) -> None:
    found = exhaustive_nearest(points, vertices)
    assert torch.equal(found, nearest_vertex(points, vertices))
    distance, index = cKDTree(vertices.numpy()).query(points.numpy(), k=2)
    of_found = (points.double() - vertices.double()[found]).norm(dim=1)
    np.testing.assert_allclose(of_found, distance[:, 0], rtol=1e-15)
    alone = distance[:, 0] < distance[:, 1] * (1 - 1e-15)
    assert alone.mean() > 0.99
    np.testing.assert_array_equal(found.numpy()[alone], index[alone, 0])


@pytest.mark.parametrize("name", ["shipped", "smpl"])
def test_rays_of_both_cameras(name: str) -> None:
    generator, vertices = posed(name)
    assert_like_the_tree(queries(generator, 20_000), vertices)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["shipped", "smpl"])
def test_millions_of_queries(name: str) -> None:
    generator, vertices = posed(name)
    assert_like_the_tree(queries(generator, MILLIONS), vertices)


def test_of_equally_near_vertices_the_first() -> None:
    """Grid points are equally far from up to eight corners; every corner is listed twice, the second time elsewhere."""
    corners = torch.cartesian_prod(*[torch.arange(4.0)] * 3) / 8
    vertices = torch.cat([corners, corners.flip(0)])
    points = torch.cartesian_prod(*[torch.arange(-1.0, 9)] * 3) / 16
    distance = (points[:, None].double() - vertices).square().sum(2)
    first = (distance == distance.amin(1, keepdim=True)).int().argmax(1)
    assert torch.equal(exhaustive_nearest(points, vertices), first)
    assert torch.equal(nearest_vertex(points, vertices), first)


def test_distances_that_differ_in_the_last_digits() -> None:
    """Pairs of vertices one float32 step apart, seen from all around: float32 products take any of them."""
    vertices = torch.from_numpy(load_face().mean.astype(np.float32)) / 12
    vertices = torch.cat([vertices, vertices.nextafter(vertices + 1)])
    points = torch.randn(5000, 3, generator=torch.Generator().manual_seed(0)) * 0.2
    assert_like_the_tree(points, vertices)


def test_far_away_and_alone() -> None:
    points, vertices = torch.randn(50, 3) + 1000, torch.randn(300, 3)
    assert_like_the_tree(points, vertices)
    assert (
        exhaustive_nearest(points, vertices[:1]).tolist() == nearest_vertex(points, vertices[:1]).tolist() == [0] * 50
    )


def test_no_tensor_is_larger_than_stated() -> None:
    """A portrait's look-ups at the paper's size against all vertices of SMPL."""
    points, vertices = torch.empty(64 * 64 * 32, 3, device="meta"), torch.empty(6890, 3, device="meta")
    with LiveBytes() as memory:
        assert exhaustive_nearest(points, vertices).shape == (len(points),)
    assert memory.largest <= SCORES_BYTES
    assert memory.peak < 2 * SCORES_BYTES
