"""Compare the body fits on made-up people: `python -m dataprep.fits.compare_fits`; medians and 90 % quantiles.

The people are drawn as in training but from a stream of their own, seen through the measured detector. Heads are tied
to the truth turned by 3 degrees, as a 3DMM would report it.
"""

from __future__ import annotations

import argparse
import sys
import time

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from dataprep.fits.body_fit import BodyFit, finish
from dataprep.fits.detector import Exemplars, ExtraNoise, load_detector, observe
from dataprep.fits.eft import EftConfig, ExemplarTuner
from dataprep.fits.head_tie import neck_head_covariance, tie_head
from dataprep.fits.map_body import MapConfig, fit_map
from dataprep.fits.people import People, sample_people
from dataprep.geometry import PORTRAIT_SIDE_M
from dataprep.models.body_points import BodyPoints
from dataprep.models.lifter import LifterInput, TrainedLifter, load_lifter
from dataprep.models.rotations import angle_between_rad
from dataprep.models.smpl import CHEST, HEAD, NECK, load_body

_HEAD_NOISE_DEG = 3.0


def errors(fits: list[BodyFit], people: People, seen: Exemplars, body: BodyPoints) -> dict[str, np.ndarray]:
    """Per person: head and chest (deg); neck joint and key points (% of the portrait's side); scale (%)."""
    rotations = torch.from_numpy(np.stack([fit.rotations for fit in fits])).float()
    posed = body(rotations, torch.from_numpy(np.stack([fit.betas for fit in fits])))
    angle = torch.rad2deg(angle_between_rad(posed.rotations, people.posed.rotations))
    camera = torch.from_numpy(np.stack([fit.camera_px for fit in fits]))
    true_scale = seen.scale * seen.inputs.scale_px
    side = PORTRAIT_SIDE_M * true_scale
    true_neck = seen.inputs.centre_px + seen.inputs.scale_px[:, None] * seen.neck
    neck = camera[:, :1] * posed.joints[:, NECK, :2] + camera[:, 1:] - true_neck
    return {
        "head": angle[:, HEAD].numpy(),
        "chest": angle[:, CHEST].numpy(),
        "neck": (100 * neck.norm(dim=-1) / side).numpy(),
        "scale": (100 * (camera[:, 0] / true_scale - 1).abs()).numpy(),
        "points": 100 * np.array([fit.rmse_px for fit in fits]) / side.numpy(),
    }


def tied_head_deg(fits: list[BodyFit], people: People, lifter: TrainedLifter, rng: np.random.Generator) -> np.ndarray:
    """Head error after the tie to a noisy measurement of the true head."""
    out, covariance = [], neck_head_covariance(lifter.residual_chol)
    for fit, truth in zip(fits, people.posed.rotations[:, HEAD].double().numpy(), strict=True):
        noise = Rotation.from_rotvec(np.radians(_HEAD_NOISE_DEG) * rng.normal(size=3)).as_matrix()
        tie = tie_head(fit.rotations.astype(np.float64), truth @ noise, covariance, np.radians(_HEAD_NOISE_DEG))
        tied = torch.from_numpy(tie.rotations).float()[None]
        posed = lifter.network.body(tied, torch.from_numpy(fit.betas)[None])
        out.append(Rotation.from_matrix(posed.rotations[0, HEAD].double().numpy().T @ truth).magnitude())
    return np.degrees(out)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=99)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rng = np.random.default_rng(options.seed)
    lifter = load_lifter(load_body())
    body = lifter.network.body
    people = sample_people(rng, options.count, body)
    seen = observe(rng, people, body, load_detector(), ExtraNoise())
    with torch.no_grad():
        start = lifter.network(seen.inputs)
    nothing = torch.zeros(options.count)
    tuner = ExemplarTuner(lifter.network, body, EftConfig())
    exemplars = [LifterInput(*(tensor[i : i + 1] for tensor in seen.inputs)) for i in range(options.count)]
    methods = {
        "lifter": lambda: finish("lifter", start, seen.inputs, body, 0, nothing, nothing > 0),
        "eft": lambda: [tuner.fit(exemplar) for exemplar in exemplars],
        "map": lambda: fit_map(start, seen.inputs, body, lifter.residual_chol, MapConfig()),
    }
    for name, method in methods.items():
        started = time.process_time()
        fits = method()
        cost_ms = 1000 * (time.process_time() - started) / options.count
        table = {**errors(fits, people, seen, body), "tied head": tied_head_deg(fits, people, lifter, rng)}
        cells = [f"{key} {np.median(value):.2f} / {np.quantile(value, 0.9):.2f}" for key, value in table.items()]
        print(f"{name:7s}" + "   ".join(cells) + f"   {cost_ms:.0f} cpu ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
