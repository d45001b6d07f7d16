"""Measure the generator: `python -m tools.bench.generator_speed [--device cuda]`.

Every measurement runs in a process of its own, so that its peak memory is its own. Random weights and a synthetic
body: the cost is that of any weights, except that of the search, which depends on how wrinkled the field is. Wall times
of a busy machine mean little: compare CPU seconds, or the ratio to the plain oracle of the tests. How plain that is, is
measured too: what it takes beyond its bare matrix products, convolutions and sines.

`torch.compile` is not used: on a CPU it gives less than the kernels of this package do, for 5 to 20 seconds of
compiling in every process. Measured on one core, with kernels, compiled and as torch runs it: D_e of 16,384 points 12,
17 and 24 ms; phi 188, 296 and 311 ms; U 0.54, 1.36 and 1.18 s a map.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from gan.checkpoint import published_state
from gan.config import preview
from gan.rendering.body_arrays import BodyArrays
from gan.rendering.generator import Generator, Identity

# The authors' released code, measured on two cores in float32; and what the paper says of an RTX A6000.
RELEASED = {"maps": 28.0, "frame": 25.0, "peak_gb": 9.1}
PAPER_A6000_S = 0.87
ORACLE_FOLDER = Path(__file__).resolve().parents[2] / "tests" / "gan"
BARE = ("addmm", "mm", "bmm", "mkldnn_convolution", "_slow_conv2d_forward", "slow_conv3d_forward", "sin", "sin_")
STAGES = (
    *("maps: M and intersections", "maps: phi", "maps: U"),
    *("body, rays, nearest vertices, D_p", "search: D_e and M", "compositing"),
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
UPPER_JOINTS_M = {9: (0, 0.1, 0), 12: (0, 0.3, -0.02), 15: (0, 0.38, 0.02), 16: (0.18, 0.22, 0), 17: (-0.18, 0.22, 0)}


def synthetic_body(vertices: int = 6890) -> BodyArrays:
    """Return a cloud of vertices about a few joints, of SMPL's size; half of it follows the upper body."""
    random = np.random.default_rng(0)
    joints = np.array([UPPER_JOINTS_M.get(j, (0.1 * (j % 5 - 2), -0.2 - 0.03 * j, 0)) for j in range(24)])
    owner = np.where(
        np.arange(vertices) % 2, random.integers(0, 9, vertices), random.choice(list(UPPER_JOINTS_M), vertices)
    )
    template = joints[owner] + 0.06 * random.standard_normal((vertices, 3))
    regressor = (owner == np.arange(24)[:, None]).astype(float)
    return BodyArrays(
        v_template=template,
        shapedirs=0.005 * random.standard_normal((vertices, 3, 10)),
        J_regressor=regressor / regressor.sum(1, keepdims=True).clip(1),
        weights=np.eye(24)[owner],
        parents=np.array(PARENTS),
        posedirs=0.0005 * random.standard_normal((vertices, 3, 207)),
        name="synthetic",
    )


def _setup(device: str, threads: int) -> tuple[Generator, Callable[..., torch.Tensor]]:
    torch.set_num_threads(threads)
    if device == "cuda":
        torch.set_float32_matmul_precision("high")  # TF32; the table says so
    torch.manual_seed(0)
    generator = Generator(synthetic_body())
    torch.nn.init.normal_(generator.deform_net.final_layer.weight, 0, 0.002)
    random = torch.Generator().manual_seed(1)
    draw = lambda *shape, std=1.0: (torch.randn(*shape, generator=random) * std).to(device)  # noqa: E731
    return generator.to(device), draw


def _timed(work: Callable[[], Any], device: str, repeats: int) -> tuple[Any, float, float]:
    """Return the result, the median wall seconds and the CPU seconds of one run."""
    walls, cpus, result = [], [], None
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        result = work()
        if device == "cuda":
            torch.cuda.synchronize()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return result, statistics.median(walls), statistics.median(cpus)


def _peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def _driving(draw: Callable[..., torch.Tensor], frames: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return draw(frames, 64), draw(frames, 6, 3, std=0.1), np.pi / 2 + draw(frames, 2, std=0.15)


def measure_maps(device: str, threads: int, repeats: int, dtype: str) -> dict[str, Any]:
    """Bake an identity again and again; bfloat16 also reports its PSNR against float32."""
    generator, draw = _setup(device, threads)
    z_id, noise = draw(1, 80), draw(1, 80)
    with torch.inference_mode():
        if device == "cuda":
            generator.radiance_maps(z_id, noise)
        maps, wall, cpu = _timed(
            lambda: generator.radiance_maps(z_id, noise, None, getattr(torch, dtype)), device, repeats
        )
        out: dict[str, Any] = {"wall": wall, "cpu": cpu, "peak_gb": _peak_gb()}
        if dtype != "float32":
            out["psnr"] = _psnr(maps.high_L4HW, generator.radiance_maps(z_id, noise).high_L4HW, span=1.0)
    return out


def measure_frames(device: str, threads: int, repeats: int, frames: int) -> dict[str, Any]:
    """Render `frames` frames of one identity; wall and CPU seconds are those of one frame."""
    generator, draw = _setup(device, threads)
    identity = _identity_of_noise(generator, draw)
    driving = _driving(draw, frames)
    if device == "cuda":
        generator.frames(identity, *driving)
    _, wall, cpu = _timed(lambda: generator.frames(identity, *driving), device, repeats)
    return {"wall": wall / frames, "cpu": cpu / frames, "peak_gb": _peak_gb()}


def measure_preview(device: str, threads: int, repeats: int) -> dict[str, Any]:
    """Render preview frames and their PSNR against the full render, both at the preview's size."""
    generator, draw = _setup(device, threads)
    identity = generator.identity(draw(1, 80), draw(1, 80), draw(1, 10))
    driving, quick = _driving(draw, 1), preview(generator.config)
    image, wall, cpu = _timed(lambda: generator.frames(identity, *driving, config=quick), device, repeats)
    full = generator.frames(identity, *driving).image_B3HW
    small = torch.nn.functional.interpolate(full, image.image_B3HW.shape[-2:], mode="bilinear", align_corners=True)
    return {"wall": wall, "cpu": cpu, "peak_gb": _peak_gb(), "psnr": _psnr(image.image_B3HW, small, span=2.0)}


def load() -> Any:
    """Import the plain implementation, which lies with the tests."""
    sys.path[:0] = [str(ORACLE_FOLDER)]
    from oracle import Oracle  # type: ignore[import-not-found,unused-ignore]

    return Oracle


def measure_oracle(threads: int) -> dict[str, Any]:
    """Time the plain implementation of the tests on the same weights."""
    generator, draw = _setup("cpu", threads)
    body = synthetic_body()
    smpl = {n: getattr(body, n) for n in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")}
    state = {name: value.numpy() for name, value in published_state(generator).items()}
    subset = body.upper_body(generator.config.outside_weight_max)
    oracle = load()(state, smpl | {"kintree_table": np.array([PARENTS])}, subset)
    z_id, noise, (z_exp, pose, camera) = draw(1, 80), draw(1, 80), _driving(draw, 1)
    betas, out = draw(10), {}
    with torch.inference_mode():
        maps, out["maps"] = _beside_bare(lambda: oracle.radiance_maps(z_id, noise))
        _, out["frame"] = _beside_bare(lambda: oracle.frame(maps, z_id, z_exp, betas, pose[0], camera[0]))
    return {**out, "peak_gb": _peak_gb()}


def _beside_bare(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Run once; besides its times return `beyond`, its wall time over that of its bare products and sines."""
    with profile(activities=[ProfilerActivity.CPU]) as record:
        result, wall, cpu = _timed(work, "cpu", 1)
    bare = sum(e.cpu_time_total for e in record.key_averages() if e.key.removeprefix("aten::") in BARE) / 1e6
    return result, {"wall": wall, "cpu": cpu, "beyond": wall / bare}


def profile_stages(device: str, threads: int) -> list[tuple[str, float]]:
    """Return the CPU (or device) seconds of every stage of one identity and one frame."""
    generator, draw = _setup(device, threads)
    codes, driving = (draw(1, 80), draw(1, 80), draw(1, 10)), _driving(draw, 1)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profile(activities=activities) as record:
        generator.frames(generator.identity(*codes), *driving)
    totals = {event.key: event for event in record.key_averages()}
    seconds = "device_time_total" if device == "cuda" else "cpu_time_total"
    return [(name, getattr(totals[name], seconds) / 1e6) for name in STAGES if name in totals]


def _identity_of_noise(generator: Generator, draw: Callable[..., torch.Tensor]) -> Identity:
    """Return an identity whose high-resolution maps are noise: frames cost the same, and U need not run."""
    with torch.inference_mode():
        z_id = draw(1, 80)
        maps = generator.radiance_maps(z_id, draw(1, 80), high=False)
        size = 4 * generator.config.map_size
        high = torch.rand(generator.config.levels, 4, size, size, device=z_id.device)
    return Identity(z_id, draw(1, 10), maps._replace(high_L4HW=high))


def _psnr(a: Any, b: Any, span: float) -> float:
    return float(20 * np.log10(span) - 10 * torch.log10((a - b).square().mean()))


def _alone(function: Callable[..., Any], *args: Any) -> Any:
    """Run in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *args).result()


def _row(label: str, ours: dict[str, Any], released: float | None, oracle: dict[str, float] | None) -> str:
    cells = [f"{label:<34}", f"{ours['wall']:8.2f}", f"{ours['cpu']:8.2f}"]
    cells.append(f"{released:9.1f} {released / ours['wall']:6.1f}x" if released else " " * 17)
    cells.append(f"{oracle['cpu']:9.1f} {oracle['cpu'] / ours['cpu']:6.1f}x" if oracle else " " * 17)
    extra = f"   {ours['psnr']:.1f} dB" if "psnr" in ours else ""
    return " ".join(cells) + f"   {ours['peak_gb']:5.2f}" + extra


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench.generator_speed", description=__doc__.splitlines()[0] if __doc__ else None
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--no-oracle", action="store_true", help="leave the tests' plain implementation (a minute) out")
    options = parser.parse_args(arguments)
    device, threads, repeats = options.device, options.threads, options.repeats
    name = f"{torch.cuda.get_device_name()}, TF32 allowed" if device == "cuda" else f"{threads} threads"
    plain = {} if options.no_oracle or device == "cuda" else _alone(measure_oracle, threads)
    released = RELEASED if device == "cpu" else {}

    print(f"generator on {device} ({name}), torch {torch.__version__}; seconds")
    print(f"{'':<34} {'wall':>8} {'cpu':>8} {'released code':>17} {'plain (cpu)':>17}   peak GB")
    for label, dtype in (("radiance maps, float32", "float32"), ("radiance maps, bfloat16", "bfloat16")):
        ours = _alone(measure_maps, device, threads, repeats, dtype)
        print(_row(label, ours, released.get("maps"), plain.get("maps")), flush=True)
    for label, frames in (("frame", 1), ("frame, batch of 4", 4)):
        ours = _alone(measure_frames, device, threads, repeats, frames)
        print(_row(label, ours, released.get("frame"), plain.get("frame")), flush=True)
    print(_row("preview frame", _alone(measure_preview, device, threads, max(3, repeats)), None, None), flush=True)
    if plain:
        beyond = ", ".join(f"{part} {plain[part]['beyond']:.2f}" for part in ("maps", "frame"))
        print(
            f"plain implementation: peak {plain['peak_gb']:.2f} GB; its time over that of its bare products, {beyond}"
        )
    print(
        f"released code, recorded: peak {RELEASED['peak_gb']} GB on two cores; the paper: {PAPER_A6000_S} s on an A6000"
    )

    print("\nwhere the time of one identity and one frame goes")
    stages = _alone(profile_stages, device, threads)
    total = sum(seconds for _, seconds in stages)
    for stage, seconds in stages:
        print(f"  {stage:<36} {seconds:7.2f} s  {100 * seconds / total:4.0f} %")


if __name__ == "__main__":
    main()
