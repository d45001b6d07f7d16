"""Gradients: of sparse searches, of halves of a batch in two processes, in reduced precision."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dataprep.errors import ConfigError
from gan.rendering import deformed_rays, radiance_maps
from gan.rendering.generator import Generator, Identity
from gan.rendering.sparse_gradients import Field
from gan.training.execution import Execution
from gan.training.ranks import Ranks
from tests.gan.conftest import codes
from tests.gan.train.runs import ALL, OPTION_STEPS, READS_FACES, TWO, double_run, gradients, steps


def everywhere(field: Field, points_RS3: torch.Tensor, levels_L: torch.Tensor, falling_only: bool) -> tuple:
    """What the sparse search must agree with: a graph over every sample."""
    return tuple(value.unflatten(0, points_RS3.shape[:2]) for value in field(points_RS3.flatten(0, 1)))


def render_gradients(generator: Generator) -> dict[str, torch.Tensor]:
    generator.zero_grad()
    given = {name: value.double() for name, value in codes(1).items()}
    baked = generator.radiance_maps(given["z_id_1K"], given["noise_1K"], high=False)
    identity = Identity(given["z_id_1K"], given["betas_1K"], baked)
    frames = generator.render(identity, given["z_exp_BK"], given["pose_BP3"], given["camera_B2"])
    weight = torch.linspace(-1, 1, frames.image_low_B3HW.numel()).view_as(frames.image_low_B3HW)
    (frames.image_low_B3HW * weight).sum().backward()
    return {name: p.grad.clone() for name, p in generator.named_parameters() if p.grad is not None}


def test_sparse_searches_have_the_gradients_of_a_full_graph(tiny: Generator, monkeypatch) -> None:
    """Of M, D_e, D_p and phi, in maps and in rays."""
    sparse = render_gradients(tiny.double())
    monkeypatch.setattr(deformed_rays, "evaluate_for_search", everywhere)
    monkeypatch.setattr(radiance_maps, "evaluate_for_search", everywhere)
    full = render_gradients(tiny)
    assert sparse.keys() == full.keys()
    for net in ("sample_net", "deform_net", "smoother", "radiance_net"):
        assert any(gradient.any() for name, gradient in full.items() if name.startswith(net))
    for name, gradient in full.items():
        torch.testing.assert_close(sparse[name], gradient, rtol=1e-9, atol=1e-12)


def test_two_processes_have_the_gradients_of_one(data: Path, whole: Path, tmp_path: Path) -> None:
    """Half the batch each, over gloo, in float64: all critics with R1 and camera heads, Eqs. 9-13, both stages."""
    environment = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    command = [sys.executable, "-m", "tests.gan.train.runs", str(data), str(tmp_path), str(whole)]
    ranks = [subprocess.Popen(command, env=environment | {"RANK": str(rank)}) for rank in range(2)]
    alone = Execution(micro=2)
    expected = [
        gradients(double_run(data, preset, tmp_path, begun_from, alone), alone)
        for preset, begun_from in ((READS_FACES, None), (TWO, whole))
    ]
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    for stage, one in enumerate(expected, 1):
        two, other = (torch.load(tmp_path / f"stage{stage}-rank{rank}.pt", weights_only=True) for rank in range(2))
        assert one["losses"].keys() == two["losses"].keys()
        for name, value in one["losses"].items():
            assert value == pytest.approx(two["losses"][name], rel=1e-9, abs=1e-15), name
        for name, gradient in one["gradients"].items():
            assert torch.equal(two["gradients"][name], other["gradients"][name]), name
            torch.testing.assert_close(two["gradients"][name], gradient, rtol=1e-7, atol=1e-12, msg=name)
    options = steps(double_run(data, ALL, tmp_path, None, alone), alone, OPTION_STEPS)
    assert_same_steps(options, *(torch.load(tmp_path / f"options-rank{rank}.pt") for rank in range(2)))
    critics = {name.split(".")[1] for name in expected[1]["gradients"] if name.startswith("critics.")}
    assert critics == {"whole", "face", "torso", "patch"}
    assert {"landmark", "imitation", "r1_face", "critic_camera_real"} <= expected[0]["losses"].keys()


def assert_same_steps(alone: dict, one: dict, other: dict) -> None:
    """Lazy R1, changed pictures, growing ones and a schedule: losses and weights of three steps."""
    assert one["augment"] == other["augment"] == alone["augment"]
    assert "r1_whole" in alone["logs"][0]
    assert "r1_whole" not in alone["logs"][1]
    for log, wanted in zip(one["logs"], alone["logs"], strict=True):
        assert log == pytest.approx(wanted, rel=1e-6, abs=1e-12)
    for name, value in alone["weights"].items():
        assert torch.equal(one["weights"][name], other["weights"][name]), name
        torch.testing.assert_close(one["weights"][name], value, rtol=1e-6, atol=1e-9, msg=name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(("world", "micro"), [(1, 12), (2, 3), (3, 2), (4, 4), (6, 5)])
def test_ranks_and_micro_batches_share_a_batch(world: int, micro: int) -> None:
    """Every position once, never more than `micro` at a time, whoever works."""
    parts = [Execution(micro=micro, ranks=Ranks(rank, world)).positions(24, 12) for rank in range(world)]
    assert sorted(position for rank in parts for some in rank for position in some) == list(range(24, 36))
    assert all(len(some) <= micro for rank in parts for some in rank)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"4 pictures cannot be shared by 3.*multiple of 3"):
        Execution(ranks=Ranks(0, 3)).positions(0, 4)
    with pytest.raises(ConfigError, match="precision is 'half'"):
        Execution(precision="half")
