"""The performance of the sample clip: smooth, in measure, and heard when the mouth is open."""

import numpy as np

from tools.render.poses import Pose
from tools.render.talking import PHRASES_S, Talk

FPS, SECONDS, RATE_HZ = 25, 5.0, 8000


def test_motion_is_smooth_and_follows_the_seed():
    times = np.arange(round(SECONDS * FPS)) / FPS
    head = np.degrees([Talk(1).pose(Pose(), t).head for t in times])
    assert np.abs(head).max() < 35
    assert np.ptp(head, axis=0).min() > 4  # it does move
    assert np.abs(np.diff(head, 2, axis=0)).max() < 1.5
    assert [Talk(1).pose(Pose(), t) for t in times[:3]] == [Talk(1).pose(Pose(), t) for t in times[:3]]
    assert Talk(2).pose(Pose(), 1.0) != Talk(1).pose(Pose(), 1.0)


def test_the_voice_sounds_when_the_mouth_is_open():
    talk = Talk(1)
    voice = talk.voice(SECONDS, RATE_HZ)
    assert len(voice) == SECONDS * RATE_HZ
    assert np.abs(voice).max() <= 1
    blocks = np.sqrt(np.square(voice.reshape(-1, RATE_HZ // FPS)).mean(1))
    mouth = np.array([talk.expression((i + 0.5) / FPS).get("jawOpen", 0.0) for i in range(len(blocks))])
    assert np.corrcoef(blocks, mouth)[0, 1] > 0.3
    silent = np.array([all(not a - 0.2 < t < b + 0.15 for a, b in PHRASES_S) for t in np.arange(len(blocks)) / FPS])
    assert silent.any()
    assert blocks[silent].max() < 1e-6
    assert blocks.max() > 0.05
