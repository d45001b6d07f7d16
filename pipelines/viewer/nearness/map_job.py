"""A map is made in a process of its own: the viewer goes on answering, and its memory stays small.

The process reads the data set, writes the map beside it and ends. Where the map cannot be kept, it goes to a folder of
this machine's temporary files that the viewer removes.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from dataprep.errors import ShhqError, Unwritable
from dataprep.files.locations import Location
from dataprep.report.census import Census
from pipelines.viewer.nearness.feature_rows import LIKENESS, FeatureRows, Progress, likeness_rows, picture_rows
from pipelines.viewer.nearness.map_file import PortraitMap, map_path, read_map, write_map
from pipelines.viewer.nearness.map_layout import layout
from pipelines.viewer.sample_images import SampleImages

_DIED = "the process that made the map ended without one; it may have been out of memory: begin again"


@dataclass
class MapState:
    """How far a map is; `made` once it is there, `problem` when it cannot be."""

    fraction: float = 0.0
    said: str = "waiting"
    made: PortraitMap | None = None
    problem: str = ""
    ended: threading.Event = field(default_factory=threading.Event)


class MapMaker:
    """Makes maps, one at a time. Threads may share one."""

    def __init__(self, out: Location, census: Census, fingerprints: dict[str, str]) -> None:
        self._out, self._census, self._fingerprints = out, census, fingerprints
        self._states: dict[tuple[str, str], MapState] = {}
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._beside = TemporaryDirectory(prefix="shhq-hs-map-", ignore_cleanup_errors=True)

    def look(self, kind: str, how: str) -> MapState | None:
        """The state of a map that was begun, or that lies beside the data set; None before that."""
        with self._lock:
            if (kind, how) in self._states:
                return self._states[kind, how]
            kept = read_map(map_path(self._out, self._census.files, kind, how))
            if kept is not None:
                self._states[kind, how] = MapState(1.0, "made earlier", kept)
            return self._states.get((kind, how))

    def begin(self, kind: str, how: str) -> MapState:
        """Make a map unless it is there or under way; one that failed is tried again."""
        state = self.look(kind, how)
        with self._lock:
            if state is not None and not state.problem:
                return state
            state = self._states[kind, how] = MapState()
        threading.Thread(target=self._make, args=(kind, how, state), daemon=True).start()
        return state

    def features(self, kind: str) -> FeatureRows | None:
        """The vectors of a kind as some map keeps them."""
        with self._lock:
            return next((s.made.features for (k, _), s in self._states.items() if k == kind and s.made), None)

    def _make(self, kind: str, how: str, state: MapState) -> None:
        context = multiprocessing.get_context("spawn")
        with self._turn:
            here, there = context.Pipe(duplex=False)
            arguments = (there, self._out, self._census.path, self._fingerprints, kind, how, Path(self._beside.name))
            process = context.Process(target=make_map, args=arguments, daemon=True)
            process.start()
            there.close()
            _follow(here, state)
            process.join()
        if state.made is None and not state.problem:
            state.problem = _DIED
        state.ended.set()


def _follow(connection: Connection, state: MapState) -> None:
    """What the process says, until it ends."""
    while True:
        try:
            word, value, said = connection.recv()
        except EOFError:
            return
        if word == "made":
            state.made = read_map(value)
        elif word == "problem":
            state.problem = said
        else:
            state.fraction, state.said = value, said


def make_map(
    connection: Connection, out: Location, manifest: Location, fingerprints: dict[str, str], kind: str, how: str,
    otherwise: Path,
) -> None:  # fmt: skip
    """Make a map and say where it lies; runs in a process of its own, and ends when nobody listens any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the viewer's, which ends this one
    os.nice(5)

    def progress(fraction: float, said: str) -> None:
        connection.send(("progress", fraction, said))

    try:
        census = Census(manifest)
        features = features_of(census, SampleImages(out, fingerprints), kind, lambda f, said: progress(f / 2, said))
        points = layout(features.vectors, how, lambda f, said: progress(f if kind == LIKENESS else 0.5 + f / 2, said))
        path = _keep(map_path(out, census.files, kind, how), PortraitMap(features, points), otherwise)
        connection.send(("made", path, ""))
    except ShhqError as error:
        connection.send(("problem", 0.0, str(error)))


def features_of(census: Census, images: SampleImages, kind: str, progress: Progress) -> FeatureRows:
    """The vectors of a kind, read or made."""
    if kind == LIKENESS:
        return likeness_rows(census)
    parts = np.nan_to_num(census.floats("part")).astype(np.int64)

    def read(row: int) -> bytes | None:
        return images.portrait({"sample_id": census.ids[row], "part": parts[row]})

    return picture_rows(census, read, progress)


def _keep(path: Location, made: PortraitMap, otherwise: Path) -> Location:
    try:
        write_map(path, made)
        return path
    except Unwritable:
        write_map(otherwise / path.name, made)
        return otherwise / path.name
