"""Who a person is: the identity coefficients of the 3DMM from many frames at once.

A single picture tells little of the face's depth, and what it misses comes out as a tilt of the head. Frames of one
person in several poses tell more, if their evidence is added up instead of their estimates averaged: each frame's
normal equations, with pose and expression eliminated, are summed and solved with the prior counted once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from dataprep.fits.face.contour import contour_of
from dataprep.fits.face.face3dmm import FaceFitter, Faces, Measured
from dataprep.fits.face.face_fit import FaceFit
from dataprep.models.face.bfm import EXP, ID, FaceModel

IDENTITY_FRAMES = 32  # at most, evenly spread
_WORTH_FRAMES = 4.0  # the detector errs alike on all frames of a person: together they are worth this many faces
_ROUNDS = 6
_POSE = 6  # unknowns before the identity: rotation, translation
_OWN = np.arange(_POSE, _POSE + ID)
_REST = np.r_[:_POSE, _POSE + ID : _POSE + ID + EXP]


def identity_of(
    model: FaceModel, fitter: FaceFitter, landmarks_px: Float[np.ndarray, "n 68 2"]
) -> Float[np.ndarray, "80"] | None:
    """The identity behind landmarks (portrait px) of one person; None when none of them look like a face.

    Gauss-Newton on the identity; pose and expression are fitted anew for each of its steps.
    """
    identity = np.zeros(ID)
    for _ in range(_ROUNDS):
        found = fitter_of(model, fitter, identity)(landmarks_px)
        usable = [i for i, fit in enumerate(found) if isinstance(fit, FaceFit)]
        fits = [fit for fit in found if isinstance(fit, FaceFit)]
        if not fits:
            return None
        information, slope = _evidence(fitter, fits, landmarks_px[usable], identity)
        share = min(1.0, _WORTH_FRAMES / len(fits))
        identity = identity - np.linalg.solve(share * information + np.eye(ID), share * slope + identity)
    return identity


def fitter_of(model: FaceModel, fitter: FaceFitter, identity: Float[np.ndarray, "80"]) -> FaceFitter:
    """A fitter of one person: identity is built into the mean, and its basis moves nothing any more."""
    mean = model.shape(identity, np.zeros(EXP)).astype(np.float32)
    person = dataclasses.replace(model, mean=mean, id_base=np.zeros_like(model.id_base))
    contour = contour_of(person) if fitter.contour is not None else None
    return FaceFitter(person, fitter.config, fitter.errors, contour, fitter.units, fitter.response)


def _evidence(
    fitter: FaceFitter, fits: Sequence[FaceFit], landmarks_px: np.ndarray, identity: np.ndarray
) -> tuple[Float[np.ndarray, "80 80"], Float[np.ndarray, "80"]]:
    """Information about the identity and the slope of the misfit, summed over frames, without the prior."""
    faces = Faces(
        np.stack([fit.head_from_face for fit in fits]),
        np.stack([fit.trans_dm for fit in fits]),
        np.stack([np.concatenate([identity, fit.expression]) for fit in fits]),
    )
    targets = np.stack([fit.alignment.to_224(points) for fit, points in zip(fits, landmarks_px, strict=True)])
    information, slope = np.zeros((ID, ID)), np.zeros(ID)
    for normal, gradient in zip(*fitter.normal(faces, Measured.landmarks(targets)), strict=True):
        coupling = normal[np.ix_(_OWN, _REST)]
        information += normal[np.ix_(_OWN, _OWN)] - np.eye(ID)
        information -= coupling @ np.linalg.solve(normal[np.ix_(_REST, _REST)], coupling.T)
        slope += gradient[_OWN] - identity
    return information, slope
