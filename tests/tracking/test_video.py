"""Videos in: frames in order, 300-VW's folders, and files that are none."""

import numpy as np
import pytest

from dataprep.errors import ConfigError
from dataprep.tracking.scene_cuts import cuts, thumb
from dataprep.tracking.video_reader import open_video, read_pts
from pipelines.main import main
from tests.tracking.clips import CLIP, clip_pictures, with_display_matrix, write_pts, write_video


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("short") / "vid.avi", clip_pictures(0, 5))


def test_frames_have_times_and_reading_goes_on_anywhere(short):
    video = open_video(CLIP / "talking.mp4")
    assert (video.width, video.height, video.fps, video.frames) == (512, 512, 25.0, 125)
    all_frames = list(open_video(short).read())
    assert [frame.number for frame in all_frames] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(np.diff([frame.time_s for frame in all_frames]), 1 / 25, atol=1e-3)
    tail = list(open_video(short).read(3))
    assert [(f.number, f.time_s) for f in tail] == [(f.number, f.time_s) for f in all_frames[3:]]
    np.testing.assert_array_equal(tail[0].rgb, all_frames[3].rgb)


def test_a_folder_of_300vw(short, tmp_path):
    folder = tmp_path / "300VW" / "001"
    (folder / "annot").mkdir(parents=True)
    (folder / "vid.avi").write_bytes(short.read_bytes())
    points = np.random.default_rng(0).uniform(100, 300, (68, 2)).round(3)
    write_pts(folder / "annot" / "000002.pts", points)
    video = open_video(folder)
    frames = list(video.read())
    assert [frame.landmarks68_px is not None for frame in frames] == [False, True, False, False, False]
    np.testing.assert_allclose(frames[1].landmarks68_px, points - 0.5)
    before = video.sha256()
    write_pts(folder / "annot" / "000003.pts", points)
    assert video.sha256() != before
    with pytest.raises(ConfigError, match=r"1 such folders, give one of them: .*001"):
        open_video(tmp_path / "300VW")


def test_pts_files_that_are_none(tmp_path):
    write_pts(tmp_path / "a.pts", np.zeros((5, 2)))
    with pytest.raises(ConfigError, match="holds 5 points, expected 68"):
        read_pts(tmp_path / "a.pts")
    (tmp_path / "b.pts").write_text("nothing")
    with pytest.raises(ConfigError, match=r"not a \.pts file"):
        read_pts(tmp_path / "b.pts")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b"", "not a video that FFmpeg can read"), (b"nonsense" * 99, "not a video that")],
)
def test_what_cannot_be_read_is_named(content, message, tmp_path, capsys):
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    assert main(["track", str(path), "-o", str(tmp_path / "o.parquet")]) == 2
    assert message in capsys.readouterr().err
    assert {p.name for p in tmp_path.iterdir()} <= {"x.mp4"}


def test_outputs_that_would_not_do(short, tmp_path, capsys):
    for output, message in ((tmp_path, "is a folder"), (short, "is the video itself")):
        before = short.read_bytes()
        assert main(["track", str(short), "-o", str(output)]) == 2
        assert message in capsys.readouterr().err
        assert short.read_bytes() == before


def test_a_video_cut_off_before_its_first_frame(tmp_path, capsys):
    data = (CLIP / "talking.mp4").read_bytes()
    (tmp_path / "x.mp4").write_bytes(data[: len(data) // 30])
    assert main(["track", str(tmp_path / "x.mp4"), "-o", str(tmp_path / "o.parquet")]) == 2
    assert "no frame could be decoded" in capsys.readouterr().err


def test_cuts_are_told_from_dropouts_and_movement():
    pictures = clip_pictures(0, 40)
    thumbs = np.stack([thumb(picture) for picture in pictures])
    seen = np.ones(40, bool)
    assert not cuts(thumbs, seen, 10).any()
    blank = thumbs.copy()
    blank[10:14] = 0
    seen[10:14] = False
    assert not cuts(blank, seen, 10).any()
    assert np.flatnonzero(cuts(blank, seen, 2)).tolist() == [10, 14]  # too long for a dropout
    other = thumbs.copy()
    other[20:] = 255 - other[20:]
    assert np.flatnonzero(cuts(other, np.ones(40, bool), 10)).tolist() == [20]


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_phones_hold_the_camera_as_they_like(degrees, turns, tmp_path):
    """The same pictures, stored turned with the display matrix that turns them back, as phones store them."""
    pictures = [picture[:, 60:460] for picture in clip_pictures(0, 3)]
    turned = [np.rot90(picture, -turns) for picture in pictures]
    plain = write_video(tmp_path / "plain.mp4", turned)
    (tmp_path / "turned.mp4").write_bytes(with_display_matrix(plain.read_bytes(), degrees))
    video = open_video(tmp_path / "turned.mp4")
    frames = list(video.read())
    assert (video.width, video.height) == (400, 512)
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame.rgb.astype(float) - picture).mean() < 4


def test_av1_is_read(tmp_path):
    pictures = clip_pictures(0, 3)
    frames = list(open_video(write_video(tmp_path / "a.mp4", pictures, codec="libsvtav1")).read())
    assert len(frames) == 3
    assert np.abs(frames[1].rgb.astype(float) - pictures[1]).mean() < 4


def test_uneven_times_are_kept(tmp_path):
    times = [0.0, 0.04, 0.12, 0.16, 0.30]
    video = open_video(write_video(tmp_path / "a.mp4", clip_pictures(0, 5), times_s=times))
    np.testing.assert_allclose([frame.time_s for frame in video.read()], times, atol=1e-3)


def test_a_damaged_frame_is_one_frame(tmp_path):
    """Bytes in the middle of an intra-only video: the frames before and after stay where they are."""
    path = write_video(tmp_path / "a.avi", clip_pictures(0, 6), codec="mjpeg")
    data = bytearray(path.read_bytes())
    starts = [i for i in range(len(data)) if data[i : i + 3] == b"\xff\xd8\xff"]
    data[starts[3] : starts[4] - 8] = bytes(starts[4] - 8 - starts[3])  # up to the next chunk
    path.write_bytes(data)
    frames = list(open_video(path).read())
    assert [frame.number for frame in frames] == [0, 1, 2, 3, 4, 5]
    assert [frame.rgb is None for frame in frames] == [False, False, False, True, False, False]
    np.testing.assert_allclose(np.diff([frame.time_s for frame in frames]), 1 / 25, atol=1e-3)
