"""Draw docs/images/cameras.png: `python -m tools.figures.figure_cameras [FILE]`.

Both cameras as the code has them, around the stand-in's body with its head turned, and what they see: the skin of that
same body, rendered by the generator's own geometry (gan.rendering.mannequin). No weights are needed.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from scipy.spatial.transform import Rotation

from dataprep.frames.smpl_joints import NECK
from dataprep.models.body.smpl import BodyModel, load_body
from dataprep.tables.store import atomic_file
from gan.animation.frame_files import pixels
from gan.rendering.body_arrays import body_arrays
from gan.rendering.both_views import face_label, render_views
from gan.rendering.cameras import camera_origin, ray_samples
from gan.rendering.generator import Generator, View
from gan.rendering.mannequin import mannequin
from gan.rendering.posed_body import (
    PosableBody,
    canonical_rotations,
    face_from_metres,
    forward_kinematics,
    pose_rotations,
)
from gan.rendering.skinning import carry_with_head

SCENE_SIZE, PICTURE_SIDE = (820, 560), 256
PX_PER_UNIT, ORIGIN_PX = 345, (150, 140)  # of the face frame's origin in the scene
SEEN_FROM = Rotation.from_euler("yx", (62, 14), degrees=True)
COLOURS: dict[View, tuple[int, int, int]] = {"portrait": (31, 90, 166), "face": (200, 90, 20)}
CAPTIONS: dict[View, str] = {
    "portrait": "portrait: 2.23 m away, sees 0.47 m",
    "face": "face: 1.18 m away, sees 0.25 m, moves with the head",
}
POSE_ZYX_RAD = {0: (0.0, 0.2, 0.0), 3: (0.05, 0.45, 0.05)}  # neck and head turn to the subject's left
CAMERA_PITCH_YAW_RAD = (1.5, 1.35)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the figure to the file given, by default into docs."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    path = Path(given[0]) if given else Path(__file__).parents[2] / "docs" / "images" / "cameras.png"
    body = load_body()
    generator, identity = mannequin(body)
    pose, camera = torch.zeros(1, 6, 3), torch.tensor([CAMERA_PITCH_YAW_RAD])
    for joint, angles in POSE_ZYX_RAD.items():
        pose[0, joint] = torch.tensor(angles)
    views = render_views(generator, identity, torch.zeros(1, 64), pose, camera)
    pictures = {view: Image.fromarray(pixels(frames.image_B3HW[0])) for view, frames in views.items()}
    figure = compose(draw_scene(body, generator, pose, camera), pictures)
    with atomic_file(path) as file:
        figure.quantize(128).save(file, "PNG", optimize=True)


def compose(scene: Image.Image, pictures: dict[View, Image.Image]) -> Image.Image:
    """Set the scene and both pictures, framed in their camera's colour, beside each other."""
    margin = 12
    figure = Image.new("RGB", (scene.width + PICTURE_SIDE + 2 * margin, scene.height + 2 * margin), "white")
    figure.paste(scene, (0, margin))
    draw = ImageDraw.Draw(figure)
    for row, (view, picture) in enumerate(pictures.items()):
        x, y = scene.width + margin, margin + row * (PICTURE_SIDE + 36)
        figure.paste(picture.resize((PICTURE_SIDE, PICTURE_SIDE), Image.Resampling.LANCZOS), (x, y))
        draw.rectangle((x - 1, y - 1, x + PICTURE_SIDE, y + PICTURE_SIDE), outline=COLOURS[view], width=3)
        draw.text((x, y + PICTURE_SIDE + 4), CAPTIONS[view], COLOURS[view], ImageFont.load_default(11))
    return figure


def draw_scene(body: BodyModel, generator: Generator, pose: torch.Tensor, camera: torch.Tensor) -> Image.Image:
    """Draw the posed body, its skeleton and both cameras' pyramids from near to far, seen from the side."""
    image = Image.new("RGB", SCENE_SIZE, "white")
    draw = ImageDraw.Draw(image, "RGBA")
    _draw_body(draw, body, pose)
    for view, label in (
        ("portrait", camera),
        ("face", face_label(generator, torch.zeros(1, 10), pose, camera)),
    ):
        _draw_camera(draw, generator, view, label, pose)  # type: ignore[arg-type]
    return image


def _draw_body(draw: ImageDraw.ImageDraw, body: BodyModel, pose: torch.Tensor) -> None:
    model = PosableBody(body_arrays(body), np.arange(len(body.v_template)))
    points = model(torch.zeros(1, 10), pose).vertices_BV3[0].numpy()
    depth = SEEN_FROM.apply(points)[:, 2]
    shade = (90 + 120 * (depth.max() - depth) / np.ptp(depth)).astype(int).tolist()
    for (x, y), grey in zip(_on_paper(points).tolist(), shade, strict=True):
        draw.ellipse((x - 0.8, y - 0.8, x + 0.8, y + 0.8), (grey, grey, grey, 110))
    rotations = pose_rotations(pose) @ canonical_rotations(pose)
    joints_m, _ = forward_kinematics(rotations, model.joints_J3[None], model.parents)
    joints = _on_paper(face_from_metres(joints_m, joints_m[:, NECK])[0].numpy())
    for joint, parent in enumerate(model.parents):
        if parent >= 0:
            draw.line((*joints[parent], *joints[joint]), (40, 40, 40, 255), 2)
        x, y = joints[joint]
        draw.ellipse((x - 2.5, y - 2.5, x + 2.5, y + 2.5), (40, 40, 40, 255))


def _draw_camera(
    draw: ImageDraw.ImageDraw, generator: Generator, view: View, label: torch.Tensor, pose: torch.Tensor
) -> None:
    """Draw the pyramid through the image's corners; between near and far, where samples lie, it is filled."""
    model, colour = generator.cameras[view], COLOURS[view]
    corners = ray_samples(model, label, 2, 2)
    start = (camera_origin(label, model.radius) + torch.tensor(model.offset)).view(1, 1, 1, 1, 3)
    if model.follows_head:
        head = generator.body(torch.zeros(1, 10), pose).posed_from_canonical_head_B34
        corners, start = carry_with_head(corners, head), carry_with_head(start, head)
    near, far = (_on_paper(corners[0, :, :, i].reshape(4, 3).numpy())[[0, 1, 3, 2]] for i in (0, 1))
    eye = _on_paper(start.reshape(1, 3).numpy())[0]
    for i in range(4):
        j = (i + 1) % 4
        draw.polygon([tuple(p) for p in (near[i], near[j], far[j], far[i])], (*colour, 28))
        for line in ((eye, far[i]), (near[i], near[j]), (far[i], far[j])):
            draw.line((*line[0], *line[1]), (*colour, 255), 1)
    x, y = eye
    draw.ellipse((x - 5, y - 5, x + 5, y + 5), (*colour, 255))
    draw.text((x - 20, y + 10), view, colour, ImageFont.load_default(15))


def _on_paper(points_N3: np.ndarray) -> np.ndarray:
    """Project orthographically: face frame to pixels of the scene."""
    x, y, _ = SEEN_FROM.apply(points_N3).T
    return np.stack([ORIGIN_PX[0] + PX_PER_UNIT * x, ORIGIN_PX[1] - PX_PER_UNIT * y], 1)


if __name__ == "__main__":
    main()
