"""Videos made from the sample clip: what is wrong with them is put there by hand, so it is known where."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from dataprep.tracking.video_reader import open_video

CLIP = Path(__file__).parents[2] / "samples/clip"
FPS = 25
DROPOUT, OCCLUSION, CUT, FAULTY_FRAMES = range(8, 12), range(19, 25), 32, 42


_OPTIONS = {
    "libx264": {"crf": "16", "threads": "1"},
    "libsvtav1": {"crf": "20", "preset": "10"},
    "mjpeg": {},
    "mpeg4": {},
    "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8"},
}


def write_video(
    path: Path,
    pictures: Sequence[np.ndarray],
    rate: int = FPS,
    codec: str = "libx264",
    times_s: Sequence[float] | None = None,
    key_every: int | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Pictures as a video without sound; `times_s`: when each is shown (default: one after another).

    `key_every`: one key frame in so many; `options`: of the codec, beside those that are usual here.
    """
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, options=_OPTIONS[codec] | (options or {}))
        if key_every is not None:
            stream.codec_context.gop_size = key_every
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if times_s is not None:
            stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if times_s is not None:
                frame.pts, frame.time_base = round(1000 * times_s[i]), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def with_display_matrix(mp4: bytes, degrees: int) -> bytes:
    """The file with its track header's matrix turned: shown, a frame is turned by so much, anticlockwise."""
    cos, sin = {90: (0, 1), 180: (-1, 0), -90: (0, -1)}[degrees]
    at = mp4.index(b"tkhd") + 4 + 40  # version 0: times, id, duration, reserved, layer, group, volume come first
    matrix = struct.pack(">9i", cos << 16, -sin << 16, 0, sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    return mp4[:at] + matrix + mp4[at + len(matrix) :]


def clip_pictures(first: int, end: int) -> list[np.ndarray]:
    pictures = []
    for frame in open_video(CLIP / "talking.mp4").read(first):
        if frame.number >= end:
            break
        pictures.append(frame.rgb)
    return pictures


def faulty_pictures() -> list[np.ndarray]:
    """The clip with black frames, a box before the mouth and nose, and a cut to another view of it."""
    pictures = clip_pictures(0, FAULTY_FRAMES)
    for i in DROPOUT:
        pictures[i] = np.zeros_like(pictures[i])
    for i in OCCLUSION:
        covered = pictures[i].copy()
        top = 163 - 6 * (i - OCCLUSION[0])  # it rises from the mouth to the brows
        cv2.rectangle(covered, (200, top), (340, 260), (70, 100, 60), -1)
        pictures[i] = covered
    for i in range(CUT, FAULTY_FRAMES):
        close = cv2.resize(pictures[i][:400, 60:460, :], (512, 512), interpolation=cv2.INTER_LINEAR)[:, ::-1]
        pictures[i] = cv2.convertScaleAbs(close, alpha=0.8, beta=25)
    return pictures


def write_pts(path: Path, points: np.ndarray) -> None:
    """68 points as iBUG writes them."""
    path.parent.mkdir(exist_ok=True)
    lines = "\n".join(f"{x:.3f} {y:.3f}" for x, y in points)
    path.write_text(f"version: 1\nn_points: 68\n{{\n{lines}\n}}\n")


RESTLESS_CUT = 14


def restless_pictures() -> list[np.ndarray]:
    """A shaken clip with a cut to the same room seen from elsewhere: the step is little larger than the shaking."""
    pictures = clip_pictures(0, 2 * RESTLESS_CUT)
    elsewhere = [np.roll(picture, -170, axis=1) for picture in pictures[RESTLESS_CUT:]]
    random = np.random.default_rng(0)
    return [_shaken(one, random.normal(0, 18, 2)) for one in (*pictures[:RESTLESS_CUT], *elsewhere)]


def _shaken(picture: np.ndarray, by_px: np.ndarray) -> np.ndarray:
    moved = np.column_stack([np.eye(2), by_px])
    return cv2.warpAffine(picture, moved, picture.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
