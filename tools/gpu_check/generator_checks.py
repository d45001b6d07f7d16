"""The generator: recorded numbers again, nearest vertices as the tree finds them, a frame and a new identity timed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from dataprep.models.body import body_files
from gan.checkpoint import load_state
from gan.config import GeneratorConfig
from gan.presets import PRESETS
from gan.rendering.body_arrays import BodyArrays, body_arrays
from gan.rendering.generator import Generator
from gan.rendering.nearest_vertices import nearest_vertex
from tools.gpu_check.trial import Numbers, Trial, allow_tf32, require, seconds_of

PARITY_FOLDER = Path(__file__).resolve().parents[2] / "tests" / "gan" / "parity"
ASKED_S = 0.15  # of a frame, and of a new identity, at the published size on a GPU
LEAST_PSNR = 40.0  # dB, of maps in reduced precision against float32
_REPEATS = 5
_SAME = 1e-6  # m: of two vertices as near as that either is right


def load() -> tuple[Any, Any]:
    """Import the recorded numbers' modules, which lie with the tests."""
    sys.path[:0] = [str(PARITY_FOLDER)]
    import agreement  # type: ignore[import-not-found,unused-ignore]
    import weights  # type: ignore[import-not-found,unused-ignore]

    return agreement, weights


def parity(trial: Trial) -> Numbers:
    """Compare with the arrays recorded from the released code; tiny: rays and inverse skinning alone."""
    allow_tf32(False)
    agreement, weights = load()
    given = {name: torch.from_numpy(value) for name, value in np.load(PARITY_FOLDER / "expected.npz").items()}
    smpl = weights.synthetic_smpl(0)
    parents = smpl["kintree_table"][0].copy()
    parents[0] = -1
    names = ("v_template", "shapedirs", "J_regressor", "weights", "posedirs")
    body = BodyArrays(**{name: smpl[name] for name in names}, parents=parents, name="synthetic")
    generator = Generator(body, nearest_subset=np.arange(0, len(body.v_template), 2))
    load_state(generator, {name: torch.from_numpy(value) for name, value in weights.official_state_dict(7).items()})
    generator.to(trial.where)
    there = {name: value.to(trial.where) for name, value in given.items()}
    with torch.inference_mode():
        target, neutral = generator.neutral_rays(there["betas"], there["pose"], there["camera"])
    found = {
        "expected_target_points": target[:, ::8, ::8, ::8],
        "expected_neutral_points": neutral[:, ::8, ::8, ::8],
    }
    if not trial.is_tiny:
        identity = generator.identity(there["z_id"], there["noise"], there["betas"])
        frames = generator.frames(identity, there["z_exp"], there["pose"], there["camera"])
        assert identity.maps.high_L4HW is not None
        found |= {
            "expected_maps_hr": identity.maps.high_L4HW[:, :, ::16, ::16],
            "expected_image_lr": frames.image_low_B3HW,
            "expected_image": frames.image_B3HW,
            "expected_depth": frames.depth_BHW[:, None, ::4, ::4],
        }
    numbers: Numbers = {}
    wrong: dict[str, bool] = {}
    for name, ours in found.items():
        numbers[f"{name.removeprefix('expected_')}_worst"] = agreement.largest(ours.cpu(), given[name])
        wrong |= {f"{said}": False for said in agreement.disagreements(name, ours.cpu(), given[name])}
    return require(wrong, numbers)


def nearest(trial: Trial) -> Numbers:
    """Find nearest vertices of points about the shipped body, and compare with a KD-tree's in float64."""
    arrays = body_arrays(body_files.open_body(body_files.STANDIN))
    random = np.random.default_rng(0)
    vertices = arrays.v_template[arrays.upper_body(GeneratorConfig().outside_weight_max)].astype(np.float32)
    count = 5_000 if trial.is_tiny else 1_000_000
    points = vertices[random.integers(len(vertices), size=count)] + random.normal(0, 0.05, (count, 3))
    queries, corpus = torch.from_numpy(points.astype(np.float32)), torch.from_numpy(vertices)
    there = queries.to(trial.where), corpus.to(trial.where)
    ours = nearest_vertex(*there).cpu().numpy()
    wanted = cKDTree(vertices.astype(np.float64)).query(queries.double().numpy(), workers=-1 if trial.is_gpu else 1)[0]
    further = np.linalg.norm(queries.double().numpy() - vertices[ours], axis=1) - wanted
    numbers: Numbers = {
        "points": count,
        "vertices": len(vertices),
        "wrong": int((further > _SAME).sum()),
        "seconds_of_a_million": seconds_of(lambda: nearest_vertex(*there), trial.where) * 1e6 / count,
    }
    return require({"every vertex is the nearest": numbers["wrong"] == 0}, numbers)


def frame_and_identity(trial: Trial) -> Numbers:
    """Time a new identity's maps and a frame of it; the networks are as they begin."""
    allow_tf32(trial.tf32)
    torch.manual_seed(0)
    config = PRESETS["tiny-stage2"].generator if trial.is_tiny else GeneratorConfig()
    generator = Generator(body_arrays(body_files.open_body(body_files.STANDIN)), config).to(trial.where)
    random = torch.Generator().manual_seed(1)
    draw = lambda *shape, std=1.0: (torch.randn(*shape, generator=random) * std).to(trial.where)  # noqa: E731
    codes, betas = (draw(1, 80), draw(1, 80)), draw(1, 10)
    driving = draw(1, 64), draw(1, 6, 3, std=0.1), torch.pi / 2 + draw(1, 2, std=0.15)
    bake = torch.inference_mode()(lambda dtype: generator.radiance_maps(*codes, None, dtype))
    reduced = torch.bfloat16 if trial.dtype == torch.float32 else trial.dtype
    exact, maps = bake(torch.float32), bake(reduced)
    identity = generator.identity(*codes, betas, None, trial.dtype)
    picture = generator.frames(identity, *driving).image_B3HW
    assert exact.high_L4HW is not None
    assert maps.high_L4HW is not None
    error = float((exact.high_L4HW - maps.high_L4HW).square().mean())
    repeats = 1 if trial.is_tiny else _REPEATS
    numbers: Numbers = {
        "image_px": picture.shape[-1],
        "identity_s": seconds_of(lambda: bake(trial.dtype), trial.where, repeats),
        "frame_s": seconds_of(lambda: generator.frames(identity, *driving), trial.where, repeats),
        "maps_psnr_db": 10 * float(np.log10(1 / error)) if error else 999.0,
    }
    holds = {f"maps differ from float32 by {LEAST_PSNR:.0f} dB or less": float(numbers["maps_psnr_db"]) >= LEAST_PSNR,
             "the picture is finite": bool(picture.isfinite().all())}  # fmt: skip
    if trial.is_gpu and not trial.is_tiny:
        for what in ("identity_s", "frame_s"):
            holds[f"{what} {numbers[what]:.3f} is at most {ASKED_S} s"] = float(numbers[what]) <= ASKED_S
    return require(holds, numbers)
