"""What moves in an animation: a track, key frames, or draws of a seed's own; and whose rows people are drawn from."""

from pathlib import Path

from dataprep.errors import ConfigError
from gan.animation.animate_labels import AnimateLabels, draw_motion, labels_with, open_labels, prior_labels
from gan.animation.animation_request import Animation
from gan.animation.keyframes import KeyFrames, at_intervals, read_keyframes, read_single_files
from gan.animation.sampler_tables import find_tables, read_tables
from gan.animation.side_by_side import FilmSource, open_source
from gan.animation.tracks import Track, interpolate, neutral_track, orbit, read_track
from gan.checkpoint import Checkpoint
from gan.data.company import labels_of

STILLS, MOVING = 8, 48  # frames when --frames is left out
FPS = 25.0  # of videos whose frames have no times
KEY_EVERY = 24  # frames between drawn key frames


def rows_of(labels: Path | None, priors: Path | None, checkpoint: Checkpoint) -> AnimateLabels:
    """Return the rows to draw people and motions from.

    A data set's, the authors' tables, those that came with the weights, or a plain normal prior.
    """
    if labels is not None:
        return open_labels(labels)
    tables = find_tables(priors, checkpoint)
    if tables is not None:
        return read_tables(tables, checkpoint)
    own = labels_of(checkpoint.company)
    return prior_labels() if own is None else labels_with(own, checkpoint.bases)


def video_of(what: Animation) -> FilmSource | str:
    """The video to show beside, or why there is none (nothing to say where none was to be expected)."""
    wanted = what.track is not None and "mp4" in what.kinds and "portrait" in what.views
    if what.track is None or not wanted or what.fills_in or what.orbit or not what.track.is_file():
        return ""
    return open_source(what.track, what.source)


def given_motion(what: Animation) -> KeyFrames | None:
    """Return the frames or key frames given, None where every seed draws its own."""
    if what.track is not None:
        return KeyFrames(read_track(what.track), "")
    if what.keyframes is not None:
        return KeyFrames(read_keyframes(what.keyframes), "")
    return read_single_files(what.single_files) if what.single_files else None


def track_of(what: Animation, seed: int, labels: AnimateLabels, given: Track | None) -> Track:
    """Return the frames of a seed: given or drawn key frames, interpolated or as they are, perhaps with an orbit."""
    if given is None:
        frames = what.frames or (MOVING if what.interpolate or what.orbit else STILLS)
        track = neutral_track(frames) if what.orbit and not what.interpolate else _drawn(what, seed, labels, frames)
    elif what.interpolate:
        track = interpolate(given, what.frames or (len(given) - 1) * KEY_EVERY + 1)
    else:
        track = _first(what, given if what.n_interval is None else at_intervals(given, what.n_interval))
    return orbit(track) if what.orbit else track


def _first(what: Animation, track: Track) -> Track:
    """Return as many frames as are wanted."""
    if (what.frames or 0) > len(track):
        more = "add --interpolate" if what.n_interval is None else "raise --n-interval"
        raise ConfigError(f"--frames {what.frames}: the key frames make {len(track)}; {more} to make more of them")
    return track.rows(slice(what.frames))


def _drawn(what: Animation, seed: int, labels: AnimateLabels, frames: int) -> Track:
    """Return independent frames, or with --interpolate a way through drawn key frames that ends where it began."""
    if not what.interpolate:
        return draw_motion(labels, seed, frames)
    keys = draw_motion(labels, seed, max(3, round(frames / KEY_EVERY)))
    return interpolate(keys.rows([*range(len(keys)), 0]), frames + 1).rows(slice(frames))
