"""`shhq-hs animate`: videos, stills and meshes from a generator."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.config_file import add_config_argument
from pipelines.verbs.base import Run, Verb

_EXAMPLES = """\
what moves (no file: every seed draws its own from --labels):
  shhq-hs animate --checkpoint FILE --out DIR --labels OUT --seeds 0-3                  eight stills a person
  shhq-hs animate --checkpoint FILE --out DIR --labels OUT --interpolate --frames 96    a loop through drawn key frames
  shhq-hs animate --checkpoint FILE --out DIR --orbit --kinds mp4,depth,mesh            a neutral portrait, from around
  shhq-hs animate --checkpoint FILE --out DIR --keyframes KEYS --interpolate            expression.npy [N,64],
                                                            pose.npy [N,6,3] rad and camera.npy [N,2] rad in KEYS
  shhq-hs animate --checkpoint sshq512.pt --out DIR --exp-path keyframes/expression.npy --n-interval 30 --fps 30
                                                            the authors' key frames: docs/cameras.md has the rest
  shhq-hs animate --checkpoint FILE --out DIR --track OUT/manifest.parquet              one row, one frame
  shhq-hs animate --checkpoint FILE --out DIR --track TALK.parquet                      follows a video that shhq-hs
                                                            track saw, beside it and with its sound
A rerun writes the same bytes. docs/cameras.md says what the two cameras see and what the angles mean.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="the authors' sshq512.pt, or a file that training wrote "
        "(default: the made-up people that come with the package)")  # fmt: skip
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    add("--seeds", default="0", metavar="S[,S]", help="people, as numbers: 0,3 or 0-7 (default 0)")
    add("--labels", type=Path, metavar="OUT", help="data set whose label rows people and motions are drawn from")
    add("--priors", type=Path, metavar="DIR", help="the authors' tables to draw them from instead (default: "
        "sampler_npy of the assets folder, for their weights)")  # fmt: skip
    add("--track", type=Path, metavar="FILE", help="parquet with bfm_exp, joints_zyx, camera_pitch_yaw: a row a frame")
    add("--source", type=Path, metavar="VIDEO", help="the track's video, for the film of both (default: where it was)")
    add("--keyframes", type=Path, metavar="DIR", help="folder with expression.npy, pose.npy or joint_eulers.npy, and "
        "camera.npy or camera_pose.npy")  # fmt: skip
    add("--exp-path", type=Path, metavar="NPY", help="expressions [N, 64] as key frames; else none")
    add("--pose-path", type=Path, metavar="NPY", help="poses [N, 6, 3] as key frames; else the canonical one")
    add("--cam-path", type=Path, metavar="NPY", help="cameras [N, 2] as key frames; else the front")
    add("--frames", type=int, metavar="N", help="frames a person (default: the track's; 8 stills; 48 when moving)")
    add("--interpolate", action="store_true", help="take frames for key frames and go smoothly from one to the next")
    add("--n-interval", type=int, metavar="N", help="the authors' way between key frames: N frames to each next one, "
        "at last back to the first")  # fmt: skip
    add("--orbit", action="store_true", help="let the camera go around instead of following labels")
    add("--psi", type=float, default=0.7, help="truncation: 0 the mean person, 1 none (default 0.7)")
    add("--preview", action="store_true", help="half the image side, about a tenth of the work")
    add("--kinds", default="mp4,png", metavar="K[,K]", help="of mp4,gif,png,depth,mesh (default mp4,png)")
    add("--views", default="portrait,face", metavar="V[,V]", help="cameras: portrait,face (default both)")
    add("--fps", type=float, help="frames a second of videos (default: the track's, else 25)")
    add("--body", metavar="FILE", help="body model of the weights (default: known by its hash; SMPL for the authors')")
    add("--nearest", type=Path, metavar="FILE", help="the authors' valid_smpl_knn_index.npy")
    add("--precision", default="float32", metavar="P", help="of the maps: float32 (default) or bfloat16")
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add("--threads", type=int, metavar="N", help="CPU threads (default: one per core)")
    add_config_argument(parser)


def _load() -> Run:
    from pipelines.commands.generator.animate_people import run

    return run


VERB = Verb("animate", "videos, stills and meshes from a generator", _arguments, _load, _EXAMPLES)
