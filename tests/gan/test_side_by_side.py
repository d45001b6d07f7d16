"""A generated person beside the video it follows: the panels, the sound, and videos that are not there."""

import shutil
from pathlib import Path

import av
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from dataprep.errors import ConfigError
from dataprep.models.body.smpl import STANDIN_PATH, load_body
from gan.animation.playable_films import Film
from gan.animation.side_by_side import NAME, open_source
from gan.checkpoint import Bases, save_checkpoint
from gan.rendering.body_arrays import body_arrays
from gan.rendering.generator import Generator
from pipelines.main import main
from tests.browser import NAMES, Browser, chromium
from tests.gan.conftest import TINY

CLIP = Path(__file__).parents[2] / "samples/clip/talking.mp4"
FRAMES = 5


def sounds(path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(audio=0) if packet.size]


def pictures(path) -> np.ndarray:
    with av.open(str(path)) as file:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A copy of the clip, and the track of its first frames beside it."""
    folder = tmp_path_factory.mktemp("tracked")
    shutil.copy(CLIP, folder / "talk.mp4")
    command = ["track", str(folder / "talk.mp4"), "-o", str(folder / "talk.parquet"), "--frames", str(FRAMES)]
    assert main(command) == 0
    return folder


@pytest.fixture(scope="module")
def checkpoint(tracked):
    """A random tiny generator of the models that the track names."""
    row = pq.read_table(tracked / "talk.parquet").slice(0, 1).to_pylist()[0]
    names = ("body_model", "body_model_sha256", "face_model", "face_model_sha256")
    torch.manual_seed(0)
    generator = Generator(body_arrays(load_body(STANDIN_PATH)), TINY)
    save_checkpoint(tracked / "tiny.pt", generator, Bases(*(row[name] for name in names)))
    return tracked / "tiny.pt"


def test_the_film_has_four_panels_every_frame_and_the_videos_own_sound(tracked, checkpoint, tmp_path):
    command = ["animate", "--checkpoint", str(checkpoint), "--track", str(tracked / "talk.parquet"), "--threads", "1"]
    assert main([*command, "--out", str(tmp_path / "a"), "--psi", "1"]) == 0
    film = tmp_path / "a/seed-0000" / NAME
    frames = pictures(film)
    assert frames.shape == (FRAMES, 256, 4 * 256 + 3 * 4, 3)
    source = pictures(CLIP)[:FRAMES, ::2, ::2]
    assert np.abs(frames[:, :, :256].astype(int) - source).mean() < 6
    overlay = np.abs(frames[:, :, 260:516].astype(int) - frames[:, :, :256]).max(-1) > 60
    assert 0.005 < overlay.mean() < 0.2  # lines are drawn on it, and the rest is the video
    heard, said = sounds(film), sounds(CLIP)
    assert 3 <= len(heard) < len(said)
    assert heard == said[: len(heard)]

    assert main([*command, "--out", str(tmp_path / "b"), "--psi", "1"]) == 0
    assert (tmp_path / "b/seed-0000" / NAME).read_bytes() == film.read_bytes()


def test_a_video_that_moved_is_said_and_another_one_refused(tracked, tmp_path):
    moved = tmp_path / "talk.parquet"
    shutil.copy(tracked / "talk.parquet", moved)
    assert "pass it as --source VIDEO" in open_source(moved, None)
    assert open_source(moved, tracked / "talk.mp4").fps == 25
    other = tmp_path / "other.mp4"
    with_sound_only = Film(other, 25.0, 32, 32, CLIP)
    with_sound_only.add(np.zeros((32, 32, 3), np.uint8), 0.0)
    with_sound_only.close()
    with pytest.raises(ConfigError, match="is not the video that"):
        open_source(moved, other)


@pytest.mark.parametrize("codec", ["pcm_s16le", "aac"])
def test_sound_ends_with_the_pictures_and_is_made_aac_where_it_must(codec, tmp_path):
    source = tmp_path / "source.mkv"
    tone = (0.4 * np.sin(np.arange(44100 * 2) * 2 * np.pi * 440 / 44100)).astype(np.float32)
    with av.open(str(source), "w") as file:
        stream = file.add_stream(codec, rate=44100, layout="mono")
        for i in range(0, len(tone), 1024):
            block = av.AudioFrame.from_ndarray(tone[None, i : i + 1024], format="fltp", layout="mono")
            block.sample_rate, block.pts = 44100, i
            file.mux(stream.encode(block))
        file.mux(stream.encode(None))
    film = Film(tmp_path / "film.mp4", 25.0, 33, 47, source)
    for i in range(25):
        film.add(np.full((33, 47, 3), 10 * i, np.uint8), i / 25)
    film.close()
    with av.open(str(tmp_path / "film.mp4")) as file:
        heard = np.concatenate([f.to_ndarray().mean(0) for f in file.decode(audio=0)])
        assert file.streams.audio[0].codec_context.name == "aac"
    assert 0.85 < len(heard) / 44100 < 1.1
    spectrum = np.abs(np.fft.rfft(heard[8192:24576]))
    assert np.argmax(spectrum) * 44100 / 16384 == pytest.approx(440, abs=4)
    shown = pictures(tmp_path / "film.mp4")
    assert shown.shape == (25, 34, 48, 3)
    assert not list(tmp_path.glob(".*"))


def test_frames_of_uneven_times_keep_them(tmp_path):
    times = [0.0, 0.03, 0.11, 0.2, 0.5]
    film = Film(tmp_path / "film.mp4", 25.0, 32, 32, None)
    for time_s in times:
        film.add(np.zeros((32, 32, 3), np.uint8), time_s)
    film.close()
    with av.open(str(tmp_path / "film.mp4")) as file:
        found = [float(frame.pts * frame.time_base) for frame in file.decode(video=0)]
    np.testing.assert_allclose(np.array(found) - found[0], times, atol=1e-3)


@pytest.mark.skipif(chromium() is None, reason=f"no browser: none of {', '.join(NAMES)} is installed")
def test_films_play_in_a_browser(tmp_path):
    film = Film(tmp_path / "film.mp4", 25.0, 64, 48)
    for i in range(25):
        film.add(np.full((64, 48, 3), (10 * i, 100, 50), np.uint8))
    film.close()
    page = tmp_path / "page.html"
    page.write_text("<video muted src='film.mp4'></video>")
    with Browser() as browser:
        browser.open(page)
        browser.wait("document.querySelector('video').readyState >= 3 || document.querySelector('video').error")
        video = "document.querySelector('video')"
        assert browser.run(f"{video}.error && {video}.error.message") is None
        assert browser.run(f"[{video}.videoWidth, {video}.videoHeight, {video}.duration]") == [48, 64, 1.0]
        browser.run(f"{video}.play()")
        browser.wait(f"{video}.currentTime > 0.2")
