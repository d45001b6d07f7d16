"""`shhq-hs track`: a video to a track, the labels of one person in every frame (docs/tracking.md)."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.config_file import add_config_argument
from pipelines.verbs.base import Run, Verb

_EXAMPLES = """\
examples:
  shhq-hs track talk.mp4 -o talk.parquet                    anything that FFmpeg decodes
  shhq-hs track 300VW/001 -o 001.parquet                    vid.avi with its annot/*.pts: their landmarks are used
  shhq-hs track talk.mp4 -o talk.parquet --npy keys         also expression.npy, pose.npy, camera.npy
  shhq-hs animate --checkpoint FILE --out DIR --track talk.parquet
To resume, run the same command again. Status 1: nobody is in the video.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("video", type=Path, metavar="VIDEO", help="video file, or a folder of 300-VW")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="parquet file to write")
    add("--npy", type=Path, metavar="DIR", help="also write the published key-frame layout there")
    add("--frames", type=int, metavar="N", help="only the first N frames")
    add("--expression-hz", type=float, default=6.0, help="cut-off of expression smoothing (default 6)")
    add("--head-hz", type=float, default=4.0, help="cut-off of head smoothing (default 4)")
    add("--body-hz", type=float, default=1.5, help="cut-off of body smoothing (default 1.5)")
    add("--max-gap-s", type=float, default=0.5, help="longest gap that is interpolated (default 0.5)")
    add("--identity", default="clip", choices=("clip", "shot"), help="one person in the whole video (default), or one "
        "a shot")  # fmt: skip
    add("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE", help="a parameter of body, face or camera")
    add_config_argument(parser, "body", "face", "camera")


def _load() -> Run:
    from pipelines.commands.track import run

    return run


VERB = Verb("track", "the person of a video, frame by frame", _arguments, _load, _EXAMPLES)
