"""Loops in machine code against torch."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dataprep import kernels
from dataprep.kernels.compositing_kernels import composited
from dataprep.kernels.layer_kernels import LayerStack, PointLayer
from dataprep.kernels.machine_code import share, suits
from dataprep.kernels.vectors import BFLOAT16_PRODUCTS
from dataprep.kernels.winograd import TiledKernel, Tiling
from gan.config import GeneratorConfig
from gan.networks.pointwise import Layer, sum_of_heads
from gan.rendering.compositing import render_hits


@pytest.mark.parametrize("largest", [1.0, 300.0, 30_000.0])
def test_sine_is_that_of_float64(largest):
    """A layer that hands its input on, followed by a sine."""
    random = np.random.default_rng(0)
    x = np.concatenate([largest * (2 * random.random(10_001) - 1), np.pi / 2 * np.arange(-9, 10), [0.0, -0.0]])
    x = torch.from_numpy(x.astype(np.float32).clip(-largest, largest))
    one = torch.ones(1, 1)
    stack = LayerStack([PointLayer(one, torch.zeros(1), "sine")], {0: PointLayer(one, torch.zeros(1))})
    found = stack(x[:, None])[:, 0]
    assert (found - x.double().sin()).abs().max() < 2e-7
    assert stack(torch.tensor([[np.nan], [np.inf], [-np.inf]])).isnan().all()


def test_what_is_no_number_stays_so():
    one, zero = torch.ones(1, 1), torch.zeros(1)
    stack = LayerStack([PointLayer(one, zero, "relu")], {0: PointLayer(one, zero)})
    found = stack(torch.tensor([[np.nan], [-1.0], [2.0], [np.inf]]))[:, 0]
    assert found[0].isnan()
    assert found[1:].tolist() == [0, 2, np.inf]


def test_layers_that_do_not_fit_are_refused():
    """Machine code would write anywhere."""
    layer, head = PointLayer(torch.ones(4, 3), torch.zeros(4), "sine"), PointLayer(torch.ones(2, 4), torch.zeros(2))
    wide = PointLayer(torch.ones(5, 4), torch.zeros(5))
    for layers, heads in (
        ([layer, PointLayer(torch.ones(4, 4), torch.zeros(4), "sine")], {0: head, 1: wide}),
        ([layer], {0: PointLayer(head[0].double(), head[1].double())}),
        ([PointLayer(torch.ones(4, 0), torch.zeros(4), "sine")], {0: head}),
        ([layer, PointLayer(torch.ones(4, 9), torch.zeros(4), "sine")], {1: head}),
        ([wide], {0: head}),
        ([layer], {-1: head}),
        ([layer], {0: PointLayer(head[0], torch.zeros(3))}),
        ([PointLayer(layer[0][None], layer[1])], {0: head}),
    ):
        with pytest.raises(ValueError, match="expected"):
            LayerStack(layers, heads)


def test_points_that_do_not_fit_are_refused():
    """Machine code would write past its workspace."""
    stack = LayerStack(
        [PointLayer(torch.ones(4, 3), torch.zeros(4))], {0: PointLayer(torch.ones(2, 4), torch.zeros(2))}
    )
    for points in (torch.ones(5, 9), torch.ones(5, 3, dtype=torch.float64), torch.ones(1, 5, 3)):
        with pytest.raises(ValueError, match=r"expected float32 \(points, 3\)"):
            stack(points)


def test_pictures_that_do_not_fit_are_refused():
    """Machine code would read beyond the maps, or write beyond the picture."""
    maps, hits, valid, origin = scene(0)
    layers = torch.cat([hits, valid], 1)
    fitting = {"maps_L4HW": maps, "layers_L4HW": layers, "origin_3": origin, "size": 12}
    for wrong in (
        {"maps_L4HW": maps[1:]},
        {"maps_L4HW": maps[:, :3]},
        {"maps_L4HW": maps[..., :1]},
        {"maps_L4HW": maps.double()},
        {"layers_L4HW": layers[:, :3]},
        {"layers_L4HW": layers[:, :, :1]},
        {"origin_3": origin[:2]},
        {"size": 1},
    ):
        with pytest.raises(ValueError, match="expected"):
            composited(**fitting | wrong, window=(1.0, 0.0), valid_above=0.5)


def test_a_numba_that_does_not_say_what_the_processor_can_do_gets_narrow_vectors():
    """That function is numba's own affair; results stay."""
    done = subprocess.run([sys.executable, "-c", SILENT], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["4", "2.0"]


SILENT = """
from numba.core import codegen
ask = codegen.get_host_cpu_features
del codegen.get_host_cpu_features
from dataprep.kernels.vectors import LANES
codegen.get_host_cpu_features = ask  # numba itself asks, too
import torch
from dataprep.kernels.layer_kernels import LayerStack, PointLayer
one, zero = torch.ones(1, 1), torch.zeros(1)
with torch.no_grad():
    found = LayerStack([PointLayer(one, zero, "relu")], {0: PointLayer(one, zero)})(torch.tensor([[2.0]]))
print(LANES, float(found))
"""


def test_when_one_thread_fails_the_others_are_waited_for():
    torch.set_num_threads(3)
    ended = []

    def work(first: int, last: int) -> None:
        if first == 0:
            raise MemoryError
        time.sleep(0.3)
        ended.append(first)

    with pytest.raises(MemoryError):
        share(work, 3)
    assert sorted(ended) == [1, 2]


def some_layers(inputs: int, widths: list[int], kinds: list[str], outputs: int) -> tuple[list[Layer], dict[int, Layer]]:
    torch.manual_seed(inputs)
    layers, width = [], inputs
    for wide, kind in zip(widths, kinds, strict=True):
        layers.append(Layer(torch.randn(1, wide, width) / width**0.5, torch.randn(1, wide), kind))
        width = wide
    heads = {
        i: Layer(torch.randn(1, outputs, wide) / wide**0.5, torch.randn(1, outputs))
        for i, wide in enumerate(widths)
        if i
    }
    return layers, heads


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("points", [0, 1, 33, 1000])
@pytest.mark.parametrize(
    ("inputs", "widths", "kinds", "outputs"),
    [
        (3, [128, 128, 128], ["relu", "relu", "relu"], 1),
        (7, [20, 33, 5], ["sine", "relu", "sine"], 11),
        (1, [8, 4], ["sine", "none"], 36),
    ],
)
def test_layers_in_one_loop_are_those_of_torch(inputs, widths, kinds, outputs, points, threads, monkeypatch):
    torch.set_num_threads(threads)  # a fixture sets it back
    ran = []
    run = LayerStack.__call__
    monkeypatch.setattr(LayerStack, "__call__", lambda *given: ran.append(given) or run(*given))
    layers, heads = some_layers(inputs, widths, kinds, outputs)
    x = torch.randn(1, points, inputs)
    with torch.no_grad():
        assert suits(x)
        found = sum_of_heads(x, layers, heads)
        in_columns = sum_of_heads(x.transpose(1, 2).contiguous().transpose(1, 2), layers, heads)
        twice = sum_of_heads(x.expand(2, -1, -1), *doubled(layers, heads))
    assert len(ran) == 2
    expected = sum_of_heads(x, layers, heads)  # with gradients: torch
    assert len(ran) == 2
    assert found.shape == (1, points, outputs)
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-5)
    assert torch.equal(found, in_columns)
    torch.testing.assert_close(twice, expected.expand(2, -1, -1), atol=2e-5, rtol=1e-5)


def doubled(layers: list[Layer], heads: dict[int, Layer]) -> tuple[list[Layer], dict[int, Layer]]:
    of_two = lambda layer: Layer(layer[0].expand(2, -1, -1), layer[1].expand(2, -1), layer[2])  # noqa: E731
    return [of_two(layer) for layer in layers], {i: of_two(head) for i, head in heads.items()}


@torch.no_grad()
@pytest.mark.skipif(not BFLOAT16_PRODUCTS, reason="this CPU does not multiply bfloat16 numbers")
def test_products_of_bfloat16_are_as_good_as_that_type():
    """Rounding by 2^-9, and neither the first layer's inputs nor any sum rounded."""
    layers, heads = some_layers(3, [64, 96, 40], ["sine", "sine", "sine"], 9)
    x = 100 * torch.randn(1, 500, 3)
    exact, rounded = sum_of_heads(x, layers, heads), sum_of_heads(x, layers, heads, torch.bfloat16)
    error = (rounded - exact).square().mean().sqrt() / exact.square().mean().sqrt()
    assert 1e-4 < error < 0.01


def test_gradients_take_torch_s_own():
    layers, heads = some_layers(2, [4, 4], ["sine", "relu"], 2)
    x = torch.randn(1, 5, 2, requires_grad=True)
    assert not suits(x)
    sum_of_heads(x, layers, heads).sum().backward()
    assert x.grad.abs().sum() > 0
    with torch.no_grad():
        assert not suits(x.double())


@pytest.mark.parametrize("features", ["+avx2,+avx,+fma", pytest.param("+sse2", marks=pytest.mark.slow)])
def test_other_processors_compute_the_same(features, tmp_path):
    """Vectors of eight and of four numbers, without products of bfloat16: what numba makes for those runs here, too."""
    torch.manual_seed(0)
    conv, image = torch.nn.Conv2d(9, 18, 3, padding=1), torch.randn(9, 8, 20)
    layers, heads = some_layers(3, [20, 33], ["sine", "relu"], 5)
    x = torch.randn(1, 50, 3)
    with torch.no_grad():
        expected = conv(image[None])[0], sum_of_heads(x, layers, heads)
    torch.save((conv.weight, conv.bias, image, layers, heads, x), tmp_path / "given.pt")
    environment = os.environ | {"NUMBA_CPU_FEATURES": features, "NUMBA_CPU_NAME": "x86-64"}
    subprocess.run([sys.executable, "-c", ELSEWHERE, tmp_path], check=True, env=environment, timeout=300)
    lanes, *found = torch.load(tmp_path / "found.pt", weights_only=True)
    assert lanes == (8 if "avx" in features else 4)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)
    if "fma" in features:  # sums are taken in one order, however wide the vectors are
        with torch.no_grad():
            tiling, here = Tiling(8, 20), Tiling(8, 20).blank(18)
            tiling.convolve(tiling.tile(image), TiledKernel(conv.weight, conv.bias), here)
        assert torch.equal(found[0], tiling.untile(here))


ELSEWHERE = """
import sys
import time
from pathlib import Path
import torch
from gan.networks.pointwise import sum_of_heads
from dataprep.kernels.vectors import BFLOAT16_PRODUCTS, LANES
from dataprep.kernels.winograd import TiledKernel, Tiling
folder = Path(sys.argv[1])
weight, bias, image, layers, heads, x = torch.load(folder / "given.pt", weights_only=False)
assert not BFLOAT16_PRODUCTS
with torch.no_grad():
    tiling = Tiling(8, 20)
    out = tiling.blank(18)
    tiling.convolve(tiling.tile(image), TiledKernel(weight, bias), out)
    torch.save((LANES, tiling.untile(out), sum_of_heads(x, layers, heads, torch.bfloat16)), folder / "found.pt")
"""


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
            assert suits(maps)
            quick = render_hits(maps, hits, valid, origin, GeneratorConfig(), size)
        assert slow.depth_HW.isnan().any()
        for name, expected in slow._asdict().items():
            torch.testing.assert_close(getattr(quick, name), expected, atol=2e-5, rtol=1e-5, equal_nan=True, msg=name)


def test_kept_machine_code_is_forgotten_when_any_of_its_files_changes(tmp_path):
    """numba itself looks at one file only."""
    package, copied = Path(kernels.__file__).parent, tmp_path / "dataprep" / "kernels"
    shutil.copytree(package, copied, ignore=shutil.ignore_patterns("__pycache__"))
    (copied.parent / "__init__.py").touch()
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    printed = lambda: subprocess.run(  # noqa: E731
        [sys.executable, "-c", LINEAR], check=True, env=environment, capture_output=True, text=True, cwd=tmp_path
    ).stdout.strip()
    assert printed() == "2.0"
    vectors = copied / "vectors.py"
    vectors.write_text(vectors.read_text().replace("b.fmul(factor, x,", "b.fadd(factor, x,"))
    assert printed() == "4.0"


LINEAR = """
import torch
from dataprep import kernels
from dataprep.kernels.layer_kernels import LayerStack, PointLayer
one, zero = torch.ones(1, 1), torch.zeros(1)
with torch.no_grad():
    print(float(LayerStack([PointLayer(one, zero, "relu")], {0: PointLayer(one, zero)})(torch.tensor([[2.0]]))))
"""
