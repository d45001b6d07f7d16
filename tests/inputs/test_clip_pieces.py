"""Pieces of videos: together they hold every frame once, and what is kept hangs on no piece's neighbours."""

import hashlib
import io

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from dataprep.errors import ConfigError
from dataprep.inputs import clip_reading
from dataprep.inputs.clip_reading import Piece, frames_of, pieces_of
from dataprep.inputs.clip_sampling import across, sampled
from dataprep.inputs.frame_inputs import ClipTask, cut, rows_of, take_frames
from dataprep.inputs.gathering import Clips
from dataprep.inputs.kept_frames import ClipFolder
from dataprep.tables.input_rows import Source, index_row, read_input
from tests.tracking.clips import clip_pictures, write_video


@pytest.fixture(scope="module")
def frames():
    return [cv2.resize(rgb, (256, 256), interpolation=cv2.INTER_AREA) for rgb in clip_pictures(0, 125)]


def decoded(path, piece):
    return [
        (round(one.time_s, 4), hashlib.sha256(one.frame.to_ndarray(format="rgb24")).hexdigest())
        for one in frames_of(path, piece)
    ]


OPEN = {"x264-params": "open-gop=1:bframes=3"}


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("closed.mp4", "libx264", {}),
        ("open.mp4", "libx264", OPEN),
        ("open.mkv", "libx264", OPEN),
        ("open.ts.mov", "libx264", OPEN),
        ("vp9.webm", "libvpx-vp9", {}),
    ],
)
def test_pieces_together_are_the_video(tmp_path, frames, monkeypatch, name, codec, options):
    monkeypatch.setattr(clip_reading, "PIECE_S", 1.0)
    path = tmp_path / name
    write_video(path, frames, key_every=10, codec=codec, options=options)
    pieces = pieces_of(path)
    assert len(pieces) >= 3
    whole = decoded(path, Piece())
    assert len(whole) == len(frames)
    assert [frame for piece in pieces for frame in decoded(path, piece)] == whole


def test_a_video_that_cannot_be_entered_is_one_piece(tmp_path, frames, monkeypatch):
    monkeypatch.setattr(clip_reading, "PIECE_S", 0.5)
    write_video(tmp_path / "old.avi", frames, codec="mpeg4")
    assert pieces_of(tmp_path / "old.avi") == [Piece()]
    assert len(decoded(tmp_path / "old.avi", Piece())) == len(frames)


def test_a_video_that_is_cut_off_gives_what_it_has(tmp_path, frames):
    write_video(tmp_path / "whole.mkv", frames, key_every=10)
    data = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "half.mkv").write_bytes(data[: len(data) // 2])
    (piece,) = pieces_of(tmp_path / "half.mkv")
    assert 20 < len(decoded(tmp_path / "half.mkv", piece)) < 100
    (tmp_path / "none.mp4").write_bytes(b"no video")
    with pytest.raises(ConfigError, match="not a video"):
        pieces_of(tmp_path / "none.mp4")


def taken(path, clips, out):
    """Take the frames of a video as a run does; returns the rows."""
    digest = hashlib.sha256(path.read_bytes()).digest()
    folder = ClipFolder.of(out, digest, clips.fingerprint)
    task = ClipTask(path.parent, folder, path.name, clips)
    cut(task)
    pieces, _ = folder.read_plan()
    for number, piece in enumerate(pieces):
        take_frames(ClipTask(path.parent, folder, path.name, clips, number, piece))
    return rows_of(Source(path.name, len(path.read_bytes()), digest), folder, clips)


def test_at_most_so_many_frames_a_second(tmp_path, frames):
    write_video(tmp_path / "clip.mp4", frames)
    for rate, most in ((0.5, 3), (2.0, 10), (5.0, 25)):
        rows = taken(tmp_path / "clip.mp4", Clips(frames_per_s=rate, min_difference=0.0), tmp_path / "out")
        intervals = [int(row.time_s * rate) for row in rows]
        assert len(set(intervals)) == len(intervals) == most
    assert rows[0].path == "clip.mp4#t=00000.000" or rows[0].path.startswith("clip.mp4#t=00000.")
    assert all(row.clip == "clip.mp4" for row in rows)
    assert len({row.sample_id for row in rows}) == len(rows)


def test_the_sharpest_frame_of_an_interval_is_taken(tmp_path, frames):
    def blur(rgb, number):
        return rgb if number % 12 == 5 else cv2.GaussianBlur(rgb, (0, 0), 3)

    write_video(tmp_path / "clip.mp4", [blur(rgb, i) for i, rgb in enumerate(frames)], key_every=6)
    rows = taken(tmp_path / "clip.mp4", Clips(frames_per_s=25 / 12, min_difference=0.0), tmp_path / "out")
    assert [round(row.time_s * 25) for row in rows[:-1]] == list(range(5, 120, 12))
    # The last interval has no sharp frame: too blurred for a higher bound, and not for this.
    sharp = Clips(frames_per_s=25 / 12, min_difference=0.0, min_sharpness=0.42)
    assert [round(row.time_s * 25) for row in taken(tmp_path / "clip.mp4", sharp, tmp_path / "out")] == list(
        range(5, 120, 12)
    )


def test_frames_that_show_nothing_new_are_left_out(tmp_path, frames):
    still = [frames[0]] * 75 + frames[60:110]
    write_video(tmp_path / "clip.mp4", still)
    rows = taken(tmp_path / "clip.mp4", Clips(), tmp_path / "out")
    assert sum(row.time_s < 2.9 for row in rows) == 1
    assert sum(row.time_s >= 2.9 for row in rows) >= 3


def test_pieces_change_nothing_of_what_is_kept_inside_an_interval(tmp_path, frames, monkeypatch):
    """The edge of two pieces lies inside an interval: one frame of it stays, the sharper."""
    write_video(tmp_path / "clip.mp4", frames, key_every=10)
    clips = Clips(frames_per_s=1.0, min_difference=0.0)
    whole = [row.path for row in taken(tmp_path / "clip.mp4", clips, tmp_path / "whole")]
    monkeypatch.setattr(clip_reading, "PIECE_S", 0.7)
    assert len(pieces_of(tmp_path / "clip.mp4")) > 4
    assert [row.path for row in taken(tmp_path / "clip.mp4", clips, tmp_path / "pieces")] == whole


def test_a_frame_lies_lossless_in_the_data_set(tmp_path, frames):
    write_video(tmp_path / "clip.mp4", frames)
    out = tmp_path / "out"
    row = taken(tmp_path / "clip.mp4", Clips(), out)[2]
    data = read_input(tmp_path, out, index_row(row))
    assert hashlib.sha256(data).digest() == row.sha256
    with av.open(str(tmp_path / "clip.mp4")) as container:
        same = [f.to_ndarray(format="rgb24") for f in container.decode(video=0) if abs(f.time - row.time_s) < 1e-6]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), same[0])


def test_ids_hang_on_name_time_and_the_videos_bytes(tmp_path, frames):
    write_video(tmp_path / "a.mp4", frames)
    (tmp_path / "b.mp4").write_bytes((tmp_path / "a.mp4").read_bytes())
    rows = {name: taken(tmp_path / name, Clips(), tmp_path / "out") for name in ("a.mp4", "b.mp4")}
    assert len(list((tmp_path / "out" / "inputs" / "clips").iterdir())) == 1  # copies share their frames
    assert not {row.sample_id for row in rows["a.mp4"]} & {row.sample_id for row in rows["b.mp4"]}
    other = taken(tmp_path / "a.mp4", Clips(frames_per_s=4.0), tmp_path / "out")
    known = {row.path: row.sample_id for row in other}
    common = [row for row in rows["a.mp4"] if row.path in known]
    assert common
    assert all(known[row.path] == row.sample_id for row in common)


def test_a_video_without_a_sharp_frame_keeps_a_row(tmp_path, frames):
    write_video(tmp_path / "grey.mp4", [np.full((64, 64, 3), 90, np.uint8)] * 30)
    (row,) = taken(tmp_path / "grey.mp4", Clips(), tmp_path / "out")
    assert (row.path, row.refused.partition(":")[0]) == ("grey.mp4", "no_frames")


def test_nothing_is_decided_across_an_edge_twice(tmp_path, frames):
    write_video(tmp_path / "clip.mp4", frames)
    kept = [one.candidate for one in sampled(frames_of(tmp_path / "clip.mp4", Piece()), Clips())]
    assert across([kept], Clips()) == [[True] * len(kept)]
    assert across([kept[:3], [], kept[3:]], Clips()) == [[True] * 3, [], [True] * (len(kept) - 3)]
    assert across([kept[:1], kept[:1]], Clips()) == [[True], [False]]
