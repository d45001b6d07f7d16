"""FLAME's coefficients from 68 landmarks and 52 blendshapes of a portrait: Gauss-Newton of a posterior.

Landmarks drive head, shape, expression and jaw; `jawOpen` says where the jaw is expected, and gaze is read off the
eyeLook blendshapes alone, since no landmark lies on an iris. Depth and size cannot be told apart in one picture, so the
head is expected where the portrait's camera stands from the neck.

Trackers of videos add colours; here is one photograph, and no texture model that every user has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.frames import geometry
from dataprep.models.face.flame import EXPRESSIONS, SHAPES, FlameLandmarks

FITTED_SHAPES, FITTED_EXPRESSIONS = 100, 50  # the strongest; 68 points say nothing of the rest
_SIGMA_PX = np.where(np.arange(68) < 17, 0.7, 0.5)  # assumed: the jaw's points slide along the visible edge
_CONTOURS = 4  # times at most that the contour is looked up anew: it hangs on the turn that is sought
_DEPTH_SIGMA = 0.02 / geometry.BODY_UNIT_M  # assumed: the portrait says how far its camera stands
_JAW_OPEN_RAD = 0.35  # assumed: the jaw at jawOpen = 1
_JAW_SIGMA_RAD = (0.1, 0.03, 0.03)  # assumed
_GAZE_RAD = 0.5  # assumed: an eye whose blendshape is 1
_STEPS, _ENOUGH, _DIFFERENCE = 25, 1e-6, 1e-6
READ = ("jawOpen", *(f"eyeLook{way}{side}" for way in ("Down", "Up", "Out", "In") for side in ("Left", "Right")))
_FIRST_EXPRESSION = 6 + FITTED_SHAPES
_JAW = _FIRST_EXPRESSION + FITTED_EXPRESSIONS
_PARAMETERS = _JAW + 3

Parameters = Float[np.ndarray, " p"]


@dataclass(frozen=True, eq=False)
class FlameFit:
    """FLAME's parameters, float32; the head before the portrait's camera: x right, y up, z to the camera, metres."""

    rotation: Float[np.ndarray, "3"]  # rotation vector about the root joint
    translation: Float[np.ndarray, "3"]
    shape: Float[np.ndarray, "300"]
    expression: Float[np.ndarray, "100"]
    jaw: Float[np.ndarray, "3"]
    eyes: Float[np.ndarray, "6"]  # left, right
    root: Float[np.ndarray, "3"]  # the root joint of this shape at rest
    landmarks: Float[np.ndarray, "68 2"]  # of the fit, in portrait pixels


def fit_flame(
    flame: FlameLandmarks,
    landmarks_px: Float[np.ndarray, "68 2"],
    rotation: Float[np.ndarray, "3"],
    blendshapes: Mapping[str, float],
    focal: float,
    depth_m: float = geometry.BODY_UNIT_M,
) -> FlameFit:
    """Fit one portrait.

    rotation: where the head is expected, as a rotation vector; blendshapes: `READ` of them, those that are missing
    count as 0; focal: of the portrait's camera, normalised by the image side; depth_m: how far the head is expected.
    """
    wanted = np.asarray(landmarks_px, np.float64)
    expected, sigma = _prior(rotation, blendshapes, wanted.mean(0), focal, depth_m)
    x, contour = expected, -1
    for _ in range(_CONTOURS):
        before, contour = contour, flame.contour(_matrix(x[:3]))
        if contour == before:
            break
        head = _Head(flame.showing(contour), focal)
        x = _gauss_newton(head, wanted, x, expected, sigma)
    shape, expression = np.zeros(SHAPES, np.float32), np.zeros(EXPRESSIONS, np.float32)
    shape[:FITTED_SHAPES], expression[:FITTED_EXPRESSIONS] = x[6:_FIRST_EXPRESSION], x[_FIRST_EXPRESSION:_JAW]
    _, joints = head.at_rest(x)
    parts = (part.astype(np.float32) for part in (x[:3], x[3:6], x[_JAW:], joints[0], head.pixels(x)))
    turn, place, jaw, root, pixels = parts
    return FlameFit(turn, place, shape, expression, jaw, gaze(blendshapes), root, pixels)


def gaze(blendshapes: Mapping[str, float]) -> Float[np.ndarray, "6"]:
    """Return FLAME's eye pose: rotation vectors of the left and the right eye, x down and y to the person's left."""
    look = {name.removeprefix("eyeLook"): blendshapes.get(name, 0.0) for name in READ}
    left = (look["DownLeft"] - look["UpLeft"], look["OutLeft"] - look["InLeft"], 0)
    right = (look["DownRight"] - look["UpRight"], look["InRight"] - look["OutRight"], 0)
    return (_GAZE_RAD * np.array((*left, *right))).astype(np.float32)


class _Head:
    """FLAME's landmarks before a camera. For given turns the points are linear in shape and expression."""

    def __init__(self, flame: FlameLandmarks, focal: float) -> None:
        kept = np.r_[0:FITTED_SHAPES, SHAPES : SHAPES + FITTED_EXPRESSIONS]
        self.flame, self.focal = flame, focal
        self.dirs = np.ascontiguousarray(np.moveaxis(flame.corner_dirs[..., kept], 2, 0))
        self.joint_dirs = np.ascontiguousarray(np.moveaxis(flame.joint_dirs[..., kept], 2, 0))
        self.jaw_dirs = flame.corner_pose_dirs[..., 9:18]  # of the jaw: neck and eyes rest

    def at_rest(self, x: Parameters) -> tuple[np.ndarray, np.ndarray]:
        """Corners and joints of this shape and expression, before any turn."""
        corners = self.flame.corners + np.tensordot(x[6:_JAW], self.dirs, 1)
        return corners, self.flame.joints + np.tensordot(x[6:_JAW], self.joint_dirs, 1)

    def turned(self, x: Parameters, corners: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """Landmarks of corners (..., 204, 3) and joints (..., 5, 3) after jaw and head have turned; linear in both."""
        head, jaw = _matrix(x[:3]), _matrix(x[_JAW:])
        root, hinge = joints[..., 0:1, :], joints[..., 2:3, :]
        opened = (corners - hinge) @ jaw.T + hinge
        corners = corners + self.flame.corner_weights[:, 2:3] * (opened - corners)
        points = (corners.reshape(*corners.shape[:-2], 68, 3, 3) * self.flame.weights[..., None]).sum(-2)
        return (points - root) @ head.T + root

    def seen(self, x: Parameters) -> Float[np.ndarray, "68 3"]:
        """Landmarks in the camera's axes, metres."""
        corners, joints = self.at_rest(x)
        corners = corners + self.jaw_dirs @ (_matrix(x[_JAW:]) - np.eye(3)).ravel()
        return self.turned(x, corners, joints) + x[3:6]

    def pixels(self, x: Parameters) -> Float[np.ndarray, "68 2"]:
        """Landmarks in portrait pixels."""
        seen = self.seen(x)
        return geometry.PORTRAIT_PX * (0.5 + self.focal * seen[:, :2] * [1, -1] / -seen[:, 2:])

    def slopes(self, x: Parameters) -> Float[np.ndarray, "136 p"]:
        """How pixels change with every parameter: exact for coefficients, by differences for turns and place."""
        seen, moved = self.seen(x), self.turned(x, self.dirs, self.joint_dirs)
        depth = -seen[:, 2:]
        flat = moved[..., :2] / depth + seen[:, :2] * moved[..., 2:] / depth**2
        slopes = np.empty((136, _PARAMETERS))
        slopes[:, 6:_JAW] = (geometry.PORTRAIT_PX * self.focal * flat * [1, -1]).reshape(len(moved), -1).T
        for i in (*range(6), *range(_JAW, _PARAMETERS)):
            step = np.zeros(_PARAMETERS)
            step[i] = _DIFFERENCE
            slopes[:, i] = ((self.pixels(x + step) - self.pixels(x - step)) / (2 * _DIFFERENCE)).ravel()
        return slopes


def _prior(
    rotation: np.ndarray, blendshapes: Mapping[str, float], centre_px: np.ndarray, focal: float, depth_m: float
) -> tuple[Parameters, Parameters]:
    """What is expected (the search starts there), and how sure that is; angles and place in the picture are free."""
    x, y = (centre_px / geometry.PORTRAIT_PX - 0.5) * depth_m / focal
    expected, sigma = np.zeros(_PARAMETERS), np.ones(_PARAMETERS)
    expected[:6] = (*rotation, x, -y, -depth_m)
    expected[_JAW] = _JAW_OPEN_RAD * (blendshapes.get("jawOpen", 0.0))
    sigma[:5], sigma[5], sigma[_JAW:] = 1e3, _DEPTH_SIGMA * depth_m, _JAW_SIGMA_RAD
    return expected, sigma


def _gauss_newton(
    head: _Head, wanted: np.ndarray, start: Parameters, expected: Parameters, sigma: Parameters
) -> Parameters:
    """Minimise the sum of squares; a step that does not help is tried again with more damping."""
    weights = 1 / np.repeat(_SIGMA_PX, 2)

    def residuals(x: Parameters) -> np.ndarray:
        return np.concatenate(((head.pixels(x) - wanted).ravel() * weights, (x - expected) / sigma))

    x, damping = start, 1e-3
    value = residuals(x)
    for _ in range(_STEPS):
        slope = np.vstack((head.slopes(x) * weights[:, None], np.diag(1 / sigma)))
        normal = slope.T @ slope
        tried = x - np.linalg.solve(normal + damping * np.diag(normal.diagonal()), slope.T @ value)
        new = residuals(tried)
        gain = value @ value - new @ new
        if gain <= 0:
            damping *= 8
            continue
        enough = gain < _ENOUGH * (value @ value)
        x, value, damping = tried, new, damping / 5
        if enough:
            break
    return x


def _matrix(vector: np.ndarray) -> Float[np.ndarray, "3 3"]:
    return Rotation.from_rotvec(vector).as_matrix()
