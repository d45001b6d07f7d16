"""`shhq-hs track`: a video to a track, the labels of one person in every frame (docs/tracking.md)."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dataprep.errors import ConfigError
from dataprep.settings import Given, read
from dataprep.stages.body import Body
from dataprep.stages.camera import Camera
from dataprep.stages.face import Face
from dataprep.tracking.detection_chunks import DetectionChunks
from dataprep.tracking.frame_fits import Fitter
from dataprep.tracking.smoothed_labels import Smoothing
from dataprep.tracking.track_table import track_table, write_keyframes, write_track
from dataprep.tracking.tracker import NobodyFound, track
from dataprep.tracking.video_reader import open_video
from pipelines.engine import resume
from pipelines.engine.progress import beating
from pipelines.paper_stages import configured, parameters


def run(options: argparse.Namespace) -> int:
    """Track, write, say how it went; returns the exit status."""
    if options.frames is not None and options.frames < 1:
        raise ConfigError(f"--frames {options.frames}: expected a whole number from 1 on")
    if options.output.is_dir() or options.output.resolve() == options.video.resolve():
        kind = "a folder" if options.output.is_dir() else "the video itself"
        raise ConfigError(f"-o {options.output}: is {kind}; name a parquet file to write")
    smoothing = Smoothing(options.expression_hz, options.head_hz, options.body_hz, options.max_gap_s)
    video = open_video(options.video)
    fitter = Fitter.open(*_stages(options.set))
    try:
        with resume.hint(resume.command_line(options.arguments)), beating("frames") as begin:
            tracked = track(video, fitter, smoothing, options.output, begin, options.frames, options.identity)
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
