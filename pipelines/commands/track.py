"""`shhq-hs track`: a video to a track, the labels of one person in every frame (docs/tracking.md)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataprep.errors import ConfigError
from dataprep.settings import Given, read
from pipelines.config_file import add_config_argument

if TYPE_CHECKING:
    from dataprep.stages.body import Body
    from dataprep.stages.camera import Camera
    from dataprep.stages.face import Face

_EXAMPLES = """\
examples:
  shhq-hs track talk.mp4 -o talk.parquet                    anything that FFmpeg decodes
  shhq-hs track 300VW/001 -o 001.parquet                    vid.avi with its annot/*.pts: their landmarks are used
  shhq-hs track talk.mp4 -o talk.parquet --npy keys         also expression.npy, pose.npy, camera.npy
  shhq-hs animate --checkpoint FILE --out DIR --track talk.parquet
To resume, run the same command again. Status 1: nobody is in the video.
"""


def add_command(verbs: Any, formatter: type[argparse.HelpFormatter]) -> None:
    """Add `track` to the subparsers `verbs`; `formatter` keeps the lines of the examples."""
    parser = verbs.add_parser(
        "track", help="the person of a video, frame by frame", epilog=_EXAMPLES, formatter_class=formatter
    )
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
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Track, write, say how it went; returns the exit status."""
    from dataprep.tracking.detection_chunks import DetectionChunks
    from dataprep.tracking.frame_fits import Fitter
    from dataprep.tracking.smoothed_labels import Smoothing
    from dataprep.tracking.track_table import track_table, write_keyframes, write_track
    from dataprep.tracking.tracker import NobodyFound, track
    from dataprep.tracking.video_reader import open_video
    from pipelines.engine import resume
    from pipelines.engine.progress import Progress

    if options.frames is not None and options.frames < 1:
        raise ConfigError(f"--frames {options.frames}: expected a whole number from 1 on")
    if options.output.is_dir() or options.output.resolve() == options.video.resolve():
        kind = "a folder" if options.output.is_dir() else "the video itself"
        raise ConfigError(f"-o {options.output}: is {kind}; name a parquet file to write")
    smoothing = Smoothing(options.expression_hz, options.head_hz, options.body_hz, options.max_gap_s)
    video = open_video(options.video)
    fitter = Fitter.open(*_stages(options.set))
    try:
        with resume.hint(resume.command_line(options.arguments)):
            tracked = track(
                video,
                fitter,
                smoothing,
                options.output,
                lambda total: Progress(total, workers=1, unit="frames"),
                options.frames,
                options.identity,
            )
    except NobodyFound as nobody:
        print(f"{options.video}: {nobody}; `track` needs one person whose face shows")
        return 1
    table = track_table(tracked, fitter.models)
    how = {"identity": options.identity, "set": sorted(map(str, options.set))}
    write_track(options.output, table, video, tracked, smoothing, how)
    if options.npy is not None:
        write_keyframes(options.npy, tracked)
    DetectionChunks.of(options.output).remove()
    print(_summary(options.output, table, tracked.fps))
    if options.frames is None and tracked.frames_read < video.frames:
        print(f"{options.video}: {video.frames} frames declared, {tracked.frames_read} read; is the file whole? Frames "
              "that are damaged are flagged lost (undecodable); a file that was cut off ends early")  # fmt: skip
    return 0


def _stages(given: list[Given | str]) -> tuple[Body, Face, Camera]:
    """The stages body, face and camera with settings applied; bodies are fitted in batches unless told otherwise."""
    from dataprep.stages.body import Body
    from dataprep.stages.camera import Camera
    from dataprep.stages.face import Face
    from pipelines.paper_stages import configured, parameters

    values = {"body.method": "map", **read(given, parameters((Body, Face, Camera)))}
    return configured(Body, values), configured(Face, values), configured(Camera, values)


def _summary(output: Path, table: Any, fps: float) -> str:
    counts = {
        name.removeprefix("flag_").replace("_", " "): sum(table[name].to_pylist())
        for name in table.column_names
        if name.startswith("flag_")
    }
    flagged = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return f"{output}: {len(table)} frames at {fps:g} a second; {flagged or 'no frame flagged'}"
