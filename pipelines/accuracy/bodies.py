"""The second half of `shhq-hs accuracy`: body fits side by side, on the data set's detections and on made-up people."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dataprep.fits.body.compare_fits import METRICS, Comparison, Scene, compare_fits
from dataprep.fits.body.detector_errors import load_detector
from dataprep.fits.body.eft_config import EftConfig
from dataprep.fits.body.made_up_crops import CROP_PX, CropCondition, crop_scene
from dataprep.fits.body.reprojection import half_crop
from dataprep.fits.generator_labels import view_from_cam
from dataprep.fits.head_tie import head_in_source
from dataprep.frames.face_frames import head_from_3dmm
from dataprep.frames.smpl_joints import CHEST, HEAD, NECK
from dataprep.models.body.body_files import STANDIN, open_body
from dataprep.models.body.body_points import BodyPoints
from dataprep.models.regressors.lifter import LifterInput, from_mediapipe, open_lifter
from dataprep.tables.labels import BFM_ANGLE
from dataprep.tables.store import Store
from pipelines.accuracy.truth_files import Truth, read_truth, truth_path
from pipelines.engine.last_run import current_stages
from pipelines.engine.progress import Progress
from pipelines.text_table import table

SEED = 99
_STAGES = ("ingest", "detect", "crop", "face")
_NEEDED = {"rotations_local", "betas", "camera"}  # of a truth file, besides what every one has
Numbers = dict[str, dict[str, Any]]


def body_fits(out: Path, truth_folder: Path, people: int) -> dict[str, Numbers]:
    """Compare on both sets, print both tables, return their numbers; fits are those of the shipped body and lifter."""
    lifter = open_lifter(open_body(), STANDIN)
    body, detector = lifter.network.body, load_detector()
    sample_bodies = [_scene_of(row, truth, body) for row, truth in _samples(out, truth_folder)]
    scenes = {}
    if sample_bodies:
        scenes["samples"] = joined(sample_bodies)
    scenes["synthetic"] = crop_scene(np.random.default_rng(SEED), people, body, detector, CropCondition())
    progress = Progress({name: 2 * len(scene.head) for name, scene in scenes.items()}, workers=1, unit="EFT fits")
    numbers = {}
    for name, scene in scenes.items():
        numbers[name] = _numbers(compare_fits(scene, lifter, EftConfig(), _advance(progress, name)))
        numbers[name]["n"] = {"people": len(scene.head)}
    progress.close()
    for name, found in numbers.items():
        print_table(_TITLES[name].format(n=found["n"]["people"]), found)
    return numbers


_TITLES = {
    "samples": "Body fits on the data set's own detections ({n} people with truth and a fitted face)",
    "synthetic": "Body fits on {n} made-up people: head and shoulders in 224 px, 2 px noise, world landmarks 25 mm",
}


def _advance(progress: Progress, name: str) -> Any:
    last = time.monotonic()

    def advance(fits: int) -> None:
        nonlocal last
        now = time.monotonic()
        progress.advance(name, fits, now - last)
        last = now

    return advance


def _numbers(lines: Sequence[Comparison]) -> Numbers:
    return {
        f"{line.method}{'' if line.world else ', no world landmarks'}{', head tied' if line.tied else ''}": {
            metric: {
                "mean": round(float(values.mean()), 3),
                "median": round(float(np.median(values)), 3),
                "p90": round(float(np.quantile(values, 0.9)), 3),
            }
            for metric, values in line.errors.items()
        }
        for line in lines
    }


def print_table(title: str, numbers: Numbers) -> None:
    """One line a fit; what a column is, below."""
    rows = [
        (name, *(f"{found[metric][shown]:.1f}" if metric.endswith("deg") else f"{found[metric][shown]:.2f}"
                 for metric, shown in _SHOWN.items()))
        for name, found in numbers.items() if name != "n"
    ]  # fmt: skip
    print(f"\n{title}")
    print(table(("fit", *_SHOWN), rows))
    print("\n".join(f"  {metric}: {METRICS[metric]}, {shown}" for metric, shown in _SHOWN.items()))


_SHOWN = {"truth_px": "mean", "points_px": "mean", "upper_mm": "mean", "head_deg": "median", "chest_deg": "median"}


def _samples(out: Path, truth_folder: Path) -> Iterator[tuple[Mapping[str, Any], Truth]]:
    """Rows of images whose face was fitted (the head tie needs it) and whose truth knows the whole body."""
    store = Store(out)
    stages = current_stages(store)
    if any(name not in stages for name in _STAGES):
        return
    for part in sorted(store.committed(stages["face"].ref)):
        tables = [store.rows(stages[name].ref, part) for name in _STAGES]
        for rows in zip(*tables, strict=True):
            merged = {key: value for row in rows for key, value in row.items()}
            path = truth_path(truth_folder, merged["source_path"])
            if merged["status"] == "ok" and path.exists():
                truth = read_truth(path)
                if truth.content.keys() >= _NEEDED:
                    yield merged, truth


def _scene_of(row: Mapping[str, Any], truth: Truth, body: BodyPoints) -> Scene:
    points, size = row["keypoints33"], (row["source_width"], row["source_height"])
    inputs = from_mediapipe(points[:, :2], points[:, 2], row["keypoints33_world_m"], size)
    joints, camera = truth.array("joints_cam_m"), truth.content["camera"]
    rotations = torch.from_numpy(truth.array("rotations_local")).float()[None]
    posed = body(rotations, torch.from_numpy(truth.array("betas")).float()[None])
    in_cam = posed.points[0].double().numpy() + joints[NECK] - posed.joints[0, NECK].double().numpy()
    true_px = np.array([camera["fx"], camera["fy"]]) * in_cam[:, :2] / in_cam[:, 2:] + [camera["cx"], camera["cy"]]
    true_global = truth.array("rotations_cam")
    measured = head_in_source(
        head_from_3dmm(row[BFM_ANGLE].astype(np.float64)),
        row["head_offset"].astype(np.float64),
        float(row["crop_roll_rad"]),
    )
    return Scene(
        inputs=inputs,
        points_px=_batch(true_px),
        crop_px=CROP_PX / (2 * half_crop(inputs) * inputs.scale_px),
        joints_m=_batch((joints - joints[NECK]) @ view_from_cam(joints[NECK]).T),
        head=_batch(view_from_cam(joints[HEAD]) @ true_global[HEAD]),
        chest=_batch(view_from_cam(joints[CHEST]) @ true_global[CHEST]),
        measured_head=measured[None],
    )


def _batch(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array).float()[None]


def joined(scenes: Sequence[Scene]) -> Scene:
    """One batch of many."""
    inputs, points_px, crop_px, joints_m, head, chest, measured_head = zip(*scenes, strict=True)
    return Scene(
        LifterInput(*(torch.cat(parts) for parts in zip(*inputs, strict=True))),
        torch.cat(points_px),
        torch.cat(crop_px),
        torch.cat(joints_m),
        torch.cat(head),
        torch.cat(chest),
        np.concatenate(measured_head),
    )
