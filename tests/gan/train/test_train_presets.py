"""Presets say what is known and what is assumed."""

import pytest

from dataprep.errors import ConfigError
from gan.presets import PRESETS, describe, preset


def sources(name: str) -> dict[str, str]:
    return {line.split()[0]: line.split()[-1] for line in describe(PRESETS[name]).splitlines()}


def test_published_and_assumed_values_are_told_apart() -> None:
    paper = sources("paper-stage1")
    assert {paper[f"adversarial.{name}"] for name in ("whole", "face", "torso")} == {"paper"}
    assert paper["generator.levels"] == "released"
    for name in ("adversarial.patch", "generator_lr", "r1_gamma", "batch", "deformation.imitation", "ema"):
        assert paper[name] == "assumed"
    assert "ours" not in paper.values()
    assert sources("tiny")["generator.levels"] == sources("tiny")["batch"] == "ours"
    assert sources("tiny")["adversarial.torso"] == "paper"
    assert sources("tiny")["adversarial.whole"] == "ours"


def test_the_paper_s_stages() -> None:
    first, second = PRESETS["paper-stage1"], PRESETS["paper-stage2"]
    assert (first.portrait_px, first.face_px, second.portrait_px, second.face_px) == (128, 128, 512, 256)
    weights = first.adversarial
    assert (weights.whole, weights.face, weights.torso) == (0.1, 1.0, 0.5)
    assert not PRESETS["ablation-no-torso"].with_torso


def test_mistakes_are_refused() -> None:
    for wrong in ({"portrait_px": 64}, {"stage": 3}, {"learning_rate": 1.0}, {"face_px": 64}, {"batch": 0}):
        with pytest.raises(ConfigError):
            preset("paper-stage1", **wrong)
    with pytest.raises(ConfigError, match="paper-stage1"):
        preset("papre")
