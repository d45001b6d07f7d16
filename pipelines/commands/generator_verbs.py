"""The commands about the generator: animate, train, evaluate, compare-runs; what they take and whom they call."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from pathlib import Path
from typing import Any

from dataprep.errors import ConfigError
from dataprep.files.locations import location
from pipelines.config_file import PRESET, add_config_argument

_MOTION = """\
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

_TRAINING = """\
examples (docs/training.md has the rest):
  shhq-hs train --preset paper-stage1 --print                            every value and where it comes from
  shhq-hs train --data OUT --preset small --out RUN1                     stage 1
  shhq-hs train --data OUT --preset small-stage2 --from RUN1 --out RUN2  stage 2: super-resolution on a frozen stage 1
  torchrun --nproc-per-node 4 --no-python shhq-hs train ...              the same run on four GPUs
To resume, run the same command again.
"""
_EVALUATION = """\
examples (docs/evaluation.md says what every number means):
  shhq-hs evaluate RUN --data OUT                                        offline metrics, control, a page of pictures
  shhq-hs evaluate RUN --data OUT --count 20000 --inception FILE.pth     FID and KID, with the weights of pytorch-fid:
                                 pt_inception-2015-12-05-6726825d.pth (found by itself in the assets folder)
  shhq-hs compare-runs RUN1 RUN2                                         evaluated runs side by side
To resume, run the same command again.
"""


def add_commands(verbs: Any, formatter: type[argparse.HelpFormatter]) -> None:
    """Add them to the subparsers `verbs`; `formatter` keeps the lines of the examples."""
    animate = verbs.add_parser(
        "animate", help="videos, stills and meshes from a generator", epilog=_MOTION, formatter_class=formatter
    )
    _add_animation_arguments(animate)
    animate.set_defaults(run=_animate)

    training = verbs.add_parser(
        "train", help="train the generator on a data set", epilog=_TRAINING, formatter_class=formatter
    )
    _add_training_arguments(training)
    training.set_defaults(run=_train)

    evaluation = verbs.add_parser(
        "evaluate", help="how good a generator is, and does it obey?", epilog=_EVALUATION, formatter_class=formatter
    )
    _add_evaluation_arguments(evaluation)
    evaluation.set_defaults(run=_evaluate)

    compared = verbs.add_parser("compare-runs", help="evaluated runs side by side")
    compared.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders that were evaluated")
    compared.set_defaults(run=_compare_runs)


def _add_animation_arguments(parser: argparse.ArgumentParser) -> None:
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


def _add_training_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preset", required=True, metavar="NAME", help="paper-stage1, paper-stage2, small, tiny, ... (a wrong name "
        "lists all)")  # fmt: skip
    add("--data", nargs="+", type=location, metavar="OUT", help="folders or s3:// URLs of data sets, all of one body "
        "and face model")  # fmt: skip
    add("--out", type=Path, metavar="RUN", help="folder of the run")
    add("--from", dest="begun_from", type=Path, metavar="RUN1", help="run, or checkpoint file, to begin from; "
        "stage 2 needs one of stage 1; demo: the people that come with the package")  # fmt: skip
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change an entry of the preset (repeatable)")
    add("--print", action="store_true", help="print the preset and where each value comes from; train nothing")
    add("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    add("--precision", default="float32", metavar="P", help="of critics and U: float32 (default), bfloat16 or float16")
    add("--micro", type=int, default=4, metavar="N", help="most pictures in memory at a time (default 4)")
    add("--workers", type=int, default=0, metavar="N", help="loader processes (default 0: none but this one)")
    add("--every", type=int, metavar="N", help="images between checkpoints and snapshots (default: a twentieth)")
    add("--keep", type=int, default=3, metavar="N", help="checkpoints that stay below RUN/checkpoints (default 3)")
    add("--body", metavar="FILE", help="body model of the labels (default: the shipped one)")
    add("--face", metavar="FILE", help="face model of the labels (default: the shipped one)")
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add("--threads", type=int, metavar="N", help="CPU threads (default: one per core)")
    add_config_argument(parser, PRESET)


def _add_evaluation_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run_folder", type=Path, metavar="RUN", help="folder of a run of shhq-hs train, or a checkpoint")
    add("--data", nargs="+", type=Path, required=True, metavar="OUT", help="data sets: real pictures and label rows")
    add("--out", type=Path, metavar="DIR", help="folder for the report (default: RUN/evaluation)")
    add("--count", type=int, default=1000, metavar="N", help="generated pictures (default 1000; the paper has 20000)")
    add("--real", type=int, metavar="N", help="real pictures, drawn from the seed (default: all)")
    add("--split", default="train", choices=("train", "val"), help="of the data set (default train)")
    add("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    add("--psi", type=float, default=1.0, help="truncation: 0 the mean person, 1 none (default)")
    add("--inception", type=Path, metavar="FILE", help="Inception weights for FID and KID")
    add("--resize", default="tf1", metavar="R", help="before Inception: tf1 (torch-fidelity, default), bilinear "
        "(pytorch-fid) or clean (clean-fid)")  # fmt: skip
    add(
        "--control",
        type=int,
        default=200,
        metavar="N",
        help="pictures read for control (default 200; 0: none)",
    )
    add("--people", type=int, default=8, metavar="N", help="people swept through commands (default 8; 0: none)")
    add("--reader", default="landmarks", choices=("landmarks", "network"), help="of expressions: MediaPipe and a "
        "fit (default), or the network of Eq. 9: R-Net for BFM")  # fmt: skip
    add("--truth", type=Path, metavar="DIR", help="truth files of the real pictures: the reader's error on renders")
    add("--no-initial", action="store_true", help="do not hold the run against its own initialisation")
    add("--body", metavar="FILE", help="body model of the weights (default: known by its hash)")
    add("--face", metavar="FILE", help="face model of the labels (default: the shipped one)")
    add(
        "--workers",
        default="auto",
        metavar="N",
        help="processes; no number depends on it (default: one a core)",
    )
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add_config_argument(parser)


def _animate(options: argparse.Namespace) -> int:
    import torch

    from gan.animation.animate import animate
    from gan.animation.animation_request import Animation
    from pipelines.engine.progress import Progress
    from pipelines.machine.resources import cores

    torch.set_num_threads(max(1, options.threads or cores()))
    names = [field.name for field in dataclasses.fields(Animation)]
    given = {name: getattr(options, name) for name in names}
    given |= {"seeds": _numbers(options.seeds, "--seeds")}
    given |= {name: tuple(given[name].split(",")) for name in ("kinds", "views")}
    remarks = animate(Animation(**given), lambda total: Progress(total, workers=1, unit="pieces"))
    for remark in remarks:
        print(f"note: {remark}", file=sys.stderr)
    print(f"{options.out}: {', '.join(given['kinds'])} of seeds {options.seeds}")
    return 0


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """0,3 or 0-7 as numbers."""
    numbers: list[int] = []
    for word in text.split(","):
        first, _, last = word.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ConfigError(f"{option} {text}: expected numbers and ranges such as 0,3 or 0-7")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def _train(options: argparse.Namespace) -> int:
    from pipelines.commands.train import run

    return run(options)


def _evaluate(options: argparse.Namespace) -> int:
    from pipelines.commands.evaluate import run

    return run(options)


def _compare_runs(options: argparse.Namespace) -> int:
    from pipelines.commands.evaluate import compare_runs

    return compare_runs(options)
