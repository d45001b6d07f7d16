"""`shhq-hs animate`: people of a checkpoint, moving.

    DIR/seed-0000/portrait.mp4, face.mp4, portrait.gif, face.gif      the same frames through both cameras
    DIR/seed-0000/portrait-depth.mp4, face-depth.mp4                  bright is near
    DIR/seed-0000/canonical.ply, canonical.obj                        the neutral portrait as a coloured mesh
    DIR/seed-0000/side-by-side.mp4                                    a tracked video beside who follows it
    DIR/portrait.png, face.png                                        a row of frames for every seed
    DIR/animate.json                                                  what was rendered, and with which models

A rerun writes the same bytes; a seed looks the same whatever other seeds are asked for.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dataprep.files.file_hashes import remembered_sha256
from dataprep.meter import Meter
from dataprep.models.devices import resolve_device
from dataprep.models.licensed import assets_folder
from dataprep.tables.store import write_json
from gan.animation.animate_labels import PRIOR, AnimateLabels
from gan.animation.animate_motion import FPS, given_motion, rows_of, track_of, video_of
from gan.animation.animation_request import VIEWS, Animation
from gan.animation.frame_files import Gif, Pixels, depth_pixels, pixels, whole_file, write_grid
from gan.animation.generated_people import GeneratedPeople, quality
from gan.animation.playable_films import Film
from gan.animation.sampler_tables import FOLDER
from gan.animation.side_by_side import NAME as SIDE_BY_SIDE
from gan.animation.side_by_side import FilmSource, SideBySide
from gan.animation.tracks import Track
from gan.checkpoint import Checkpoint
from gan.config import GeneratorConfig
from gan.generator_files import NEAREST_FILE, open_checkpoint, open_generator
from gan.rendering.both_views import face_config, render_views
from gan.rendering.generator import Frames, Generator, Identity, View
from gan.rendering.mesh import canonical_mesh, write_obj, write_ply

GRID_COLUMNS = 8


def animate(what: Animation, start_meter: Callable[[Mapping[str, int]], Meter]) -> list[str]:
    """Render everything; returns remarks for the user. Raises ShhqError before anything is rendered or written."""
    checkpoint = open_checkpoint(what.checkpoint)
    labels = rows_of(what.labels, what.priors, checkpoint)
    given, remark = given_motion(what) or (None, "")
    source = video_of(what)
    what = dataclasses.replace(what, fps=what.fps or (source.fps if isinstance(source, FilmSource) else FPS))
    speaking = [bases for bases in (labels.bases, given.bases if given else None) if bases is not None]
    generator = open_generator(checkpoint, speaking, what.body, what.nearest).to(resolve_device(what.device))
    people = GeneratedPeople(checkpoint, generator, labels)
    tracks = {seed: track_of(what, seed, labels, given) for seed in what.seeds}

    total = sum(map(len, tracks.values()))
    meter = start_meter({"person": len(tracks), "frame": total if _renders(what) else 0})
    grids: dict[View, list[list[Pixels]]] = {"portrait": [], "face": []}
    try:
        people.truncation(what.psi)  # before the first person, whose time it is not
        for seed, track in tracks.items():
            identity = _identity(what, people, seed, meter)
            _mesh(what, generator, identity, _folder(what, seed))
            for view, tiles in _render(what, people, identity, track, source, meter, seed).items():
                grids[view].append(tiles)
    finally:
        meter.close()
    for view in _views(what) if "png" in what.kinds else ():
        write_grid(what.out / f"{view}.png", grids[view])
    write_json(what.out / "animate.json", _record(what, checkpoint, generator, labels, tracks))
    said = [remark, source if isinstance(source, str) else ""]
    return [*_remarks(what, checkpoint, labels), *filter(None, said)]


# -- rendering


def _identity(what: Animation, people: GeneratedPeople, seed: int, meter: Meter) -> Identity:
    start = time.monotonic()
    identity = people.identity(seed, what.psi, what.precision)
    meter.advance("person", 1, time.monotonic() - start)
    return identity


def _render(
    what: Animation,
    people: GeneratedPeople,
    identity: Identity,
    track: Track,
    source: FilmSource | str,
    meter: Meter,
    seed: int,
) -> dict[View, list[Pixels]]:
    """Render a track into its files and return the frames of the grid."""
    tiles: dict[View, list[Pixels]] = {view: [] for view in _views(what)}
    if not _renders(what):
        return tiles
    generator, config = people.generator, quality(people.generator, what.preview)
    shown = set(np.linspace(0, len(track) - 1, min(len(track), GRID_COLUMNS)).round().astype(int).tolist())
    files = _Files(what, _folder(what, seed), config, source)
    try:
        for frame in range(len(track)):
            start, one = time.monotonic(), track.rows([frame])
            z_exp, pose, camera = people.tensors(one.expression_N64, one.pose_N63, one.camera_N2)
            views = render_views(generator, identity, z_exp, pose, camera, _views(what), config)
            for view, rendered in views.items():
                files.add(view, rendered)
                if frame in shown:
                    tiles[view].append(pixels(rendered.image_B3HW[0]))
            meter.advance("frame", 1, time.monotonic() - start)
        files.close()
    finally:
        files.abandon()
    return tiles


class _Files:
    """The videos of one seed, all growing together."""

    def __init__(self, what: Animation, folder: Path, config: GeneratorConfig, source: FilmSource | str) -> None:
        self._config, fps = config, what.fps or FPS
        sizes = {"portrait": config.image_size, "face": face_config(config).image_size}
        self._pictures: dict[View, list[Film | Gif]] = {}
        self._depths: dict[View, list[Film | Gif]] = {}
        for view in _views(what):
            side = sizes[view]
            mp4 = [Film(folder / f"{view}.mp4", fps, side, side)] if "mp4" in what.kinds else []
            gif = [Gif(folder / f"{view}.gif", fps)] if "gif" in what.kinds else []
            depth = [Film(folder / f"{view}-depth.mp4", fps, side, side)] if "depth" in what.kinds else []
            self._pictures[view], self._depths[view] = [*mp4, *gif], [*depth]
        self._beside: SideBySide | None = None
        if isinstance(source, FilmSource):
            self._beside = SideBySide(folder / SIDE_BY_SIDE, source, config.image_size)

    def add(self, view: View, frames: Frames) -> None:
        for file in self._pictures[view]:
            file.add(pixels(frames.image_B3HW[0]))
        c = self._config
        near, far = (c.portrait_near, c.portrait_far) if view == "portrait" else (c.face_near, c.face_far)
        depth = depth_pixels(frames.depth_BHW[0], frames.opacity_BHW[0], near, far)
        for file in self._depths[view]:
            file.add(depth)
        if self._beside is not None and view == "portrait":
            self._beside.add(pixels(frames.image_B3HW[0]), depth)

    def close(self) -> None:
        for file in self._all():
            file.close()

    def abandon(self) -> None:
        for file in self._all():
            file.abandon()

    def _all(self) -> list[Film | Gif | SideBySide]:
        beside = [] if self._beside is None else [self._beside]
        return [*beside, *(file for files in (*self._pictures.values(), *self._depths.values()) for file in files)]


def _mesh(what: Animation, generator: Generator, identity: Identity, folder: Path) -> None:
    if "mesh" in what.kinds:
        mesh = canonical_mesh(generator, identity)
        for name, write in (("canonical.ply", write_ply), ("canonical.obj", write_obj)):
            with whole_file(folder / name) as path:
                write(path, mesh)


# -- choices


def _views(what: Animation) -> tuple[View, ...]:
    return tuple(view for view in VIEWS if view in what.views)


def _renders(what: Animation) -> bool:
    return set(what.kinds) != {"mesh"}


def _folder(what: Animation, seed: int) -> Path:
    return what.out / f"seed-{seed:04d}"


# -- the record


def _record(
    what: Animation, checkpoint: Checkpoint, generator: Generator, labels: AnimateLabels, tracks: Mapping[int, Track]
) -> dict[str, Any]:
    """Return what made these files; no paths, hosts or times."""
    config = quality(generator, what.preview)
    choices = ("interpolate", "n_interval", "orbit", "psi", "preview", "kinds", "views", "fps", "precision")
    return {
        "checkpoint_sha256": remembered_sha256(checkpoint.path),
        "published_weights": checkpoint.published,
        "bases": dataclasses.asdict(checkpoint.bases) if checkpoint.bases else None,
        "seeds": {str(seed): {"frames": len(track)} for seed, track in tracks.items()},
        **{name: getattr(what, name) for name in choices},
        "labels": labels.source,
        "config": dataclasses.asdict(config),
    }


def _remarks(what: Animation, checkpoint: Checkpoint, labels: AnimateLabels) -> list[str]:
    remarks = []
    if labels.source == PRIOR:
        theirs = f"the authors' tables: --priors {FOLDER}" if checkpoint.published else "--labels OUT"
        remarks.append(
            f"people were drawn from a plain normal prior; weights know the labels they were trained on: {theirs}"
        )
    named = [what.keyframes] if what.keyframes is not None else list(what.single_files.values())
    if named and checkpoint.bases is not None:
        remarks.append(
            f"{', '.join(map(str, named))}: .npy files do not name their models; they were taken for those of "
            f"{checkpoint.bases}"
        )
    if checkpoint.published and what.nearest is None and not (assets_folder() / NEAREST_FILE).is_file():
        remarks.append(
            f"nearest vertices were chosen by skinning weights; the authors' list makes pictures the same as theirs: "
            f"put {NEAREST_FILE} into {assets_folder()}, or --nearest FILE"
        )
    return remarks
