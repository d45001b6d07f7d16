"""What both cameras see of a body, through the generator's whole geometry: no weights involved."""

import pytest
import torch

from dataprep.models.body.smpl import load_body
from gan.config import GeneratorConfig
from gan.rendering.both_views import render_views
from gan.rendering.mannequin import mannequin

SMALL = GeneratorConfig(image_size=64, ray_size=32, map_size=32, coarse_samples=32, fine_samples=64, levels=8)
BENT_RAD = 0.6  # the neck leans towards the subject's left: image right


@pytest.fixture(scope="module")
def person():
    return mannequin(load_body(), SMALL, grid_step=0.012)


def opacity(person, neck_roll=0.0, head_turn=0.0):
    generator, identity = person
    pose = torch.zeros(1, 6, 3)
    pose[0, 0, 0], pose[0, 3, 1] = -neck_roll, head_turn
    front = torch.full((1, 2), torch.pi / 2)
    views = render_views(generator, identity, torch.zeros(1, 64), pose, front)
    return {view: frames.opacity_BHW[0] for view, frames in views.items()}


def middle_of_head(opacity_HW, rows) -> float:
    """Mean column of what is opaque in the given rows, 0 left to 1 right."""
    part = opacity_HW[rows]
    across = (torch.arange(part.shape[1]) + 0.5) / part.shape[1]
    return float((part * across).sum() / part.sum())


def test_the_portrait_holds_head_and_shoulders_and_the_face_fills_its_picture(person):
    seen = opacity(person)
    portrait, face = seen["portrait"], seen["face"]
    assert portrait[-1].mean() > 0.8  # shoulders span the lower edge; eight layers reach 0.97
    assert portrait[0].max() == 0  # room above the head
    assert 0.2 < portrait[24].mean() < 0.5
    assert face.shape == (32, 32)
    assert face[16].mean() > 0.45
    for picture, rows in ((portrait, slice(10, 30)), (face, slice(4, 20))):
        assert abs(middle_of_head(picture, rows) - 0.5) < 0.03


def test_the_face_camera_moves_with_the_head(person):
    """The head leaves the middle of the portrait and stays in the middle of the face picture."""
    bent = opacity(person, neck_roll=BENT_RAD)
    assert middle_of_head(bent["portrait"], slice(10, 30)) > 0.56
    assert abs(middle_of_head(bent["face"], slice(6, 18)) - 0.5) < 0.05
