"""Shared by the generator's tests: the parity stand-ins at full size, and a generator that renders in no time."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "parity"))

from weights import official_state_dict, synthetic_smpl  # noqa: E402

from gan.checkpoint import load_state  # noqa: E402
from gan.config import GeneratorConfig  # noqa: E402
from gan.rendering.body_arrays import BodyArrays  # noqa: E402
from gan.rendering.generator import Generator  # noqa: E402

TINY = GeneratorConfig(
    image_size=40,
    ray_size=16,
    map_size=24,
    coarse_samples=16,
    fine_samples=64,
    map_samples=32,
    levels=6,
    deform_width=16,
    manifold_width=64,
    radiance_width=32,
    features=4,
    sr_width=8,
    sr_growth=4,
    sr_blocks=1,
)


def body_arrays(vertices: int = 6890) -> BodyArrays:
    smpl = synthetic_smpl(0, vertices)
    parents = smpl["kintree_table"][0].copy()
    parents[0] = -1
    arrays = {name: smpl[name] for name in ("v_template", "shapedirs", "J_regressor", "weights", "posedirs")}
    return BodyArrays(**arrays, parents=parents, name="synthetic")


def tiny_generator(seed: int = 0) -> Generator:
    """A generator of random weights whose manifolds are hit: D_e displaces a little, everything else as initialised."""
    torch.manual_seed(seed)
    generator = Generator(body_arrays(400), TINY, np.arange(0, 400, 2))
    torch.nn.init.normal_(generator.deform_net.final_layer.weight, 0, 0.01)
    return generator


def codes(frames: int, seed: int = 0) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    draw = lambda *shape, std=1.0: torch.randn(*shape, generator=random) * std  # noqa: E731
    return {
        "z_id_1K": draw(1, 80),
        "noise_1K": draw(1, 80),
        "betas_1K": draw(1, 10),
        "z_exp_BK": draw(frames, 64),
        "pose_BP3": draw(frames, 6, 3, std=0.1),
        "camera_B2": torch.pi / 2 + draw(frames, 2, std=0.15),
    }


@pytest.fixture(autouse=True)
def _one_thread():
    """Neighbouring test processes share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(int(os.environ.get("GAN_TEST_THREADS", "1")))
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def parity() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in np.load(HERE / "parity/expected.npz").items()}


@pytest.fixture(scope="session")
def published_state_arrays() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in official_state_dict(7).items()}


@pytest.fixture(scope="session")
def published(published_state_arrays) -> Generator:
    generator = Generator(body_arrays(), nearest_subset=np.arange(0, 6890, 2))
    load_state(generator, published_state_arrays)
    return generator


@pytest.fixture
def tiny() -> Generator:
    return tiny_generator()
