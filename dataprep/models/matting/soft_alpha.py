"""Soft alpha from a coarse mask, and the person on white without a rim of the old background.

Closed-form matting (Levin, Lischinski, Weiss, "A Closed-Form Solution to Natural Image Matting", 2008) on the band
around the mask's edge, with the mask as a weak prior (their section 5), in NumPy and SciPy: the equations are those of
pymatting, without the minute that compiling its kernels costs a fresh installation. Foreground colours by blur fusion
(Forte, "Approximate Fast Foreground Colour Estimation", 2021).
"""

from __future__ import annotations

import cv2
import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg
from jaxtyping import Bool, Float, UInt8

_SURE = 0.7  # mask values from here on are foreground, below 1 - _SURE background
_REACH_PX = 12  # nothing further than this from the person's connected piece of the mask belongs to the person
_BAND_PX = 5  # the sure regions are pulled back by this much on each side of the edge, at 512 px
_COLOUR_BAND_PX = (5, 3)  # the same on the person's and on the other side, in a picture of half the size, for colours
_EPSILON = 1e-4  # colour-line regularisation (Levin's epsilon); larger values ignore image noise
_PRIOR = 3e-3  # weight of the mask inside the band
_HAZE = 0.04  # alpha this close to 0 or 1 becomes it
_SOLVER_TOLERANCE = 1e-4
_BLUR_PX = (21, 5)  # blur fusion: a wide pass for the colours, a narrow one for their detail
_BLUR_POWER = 4  # colours are averaged by alpha to this power: nearly pure pixels lead (halves the error at hair)


def matte(
    portrait: UInt8[np.ndarray, "h w 3"], mask: Float[np.ndarray, "h w"]
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w"]]:
    """(portrait, coarse mask in [0, 1]) -> (person on white, alpha with 255 = person)."""
    image = portrait.astype(np.float64) / 255
    alpha = estimate_alpha(image, mask)
    pure = np.minimum(alpha, _purity(image, mask)).astype(np.float32)
    foreground = estimate_foreground(image.astype(np.float32), pure)
    on_white = alpha[..., None] * foreground + (1 - alpha[..., None])
    return _to_uint8(on_white), _to_uint8(alpha)


def _purity(image: Float[np.ndarray, "h w 3"], mask: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """How much of a pixel's colour is the person's: an alpha that doubts more of the mask's rim than the alpha itself.

    Coarse masks are sure of the outermost hair, where the background shines through. As alpha so wide a band errs more
    (0.0060 instead of 0.0053 on rendered people), but colours taken by it leave no rim of a dark wall in light hair.
    """
    height, width = mask.shape
    small, coarse = (cv2.resize(p, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for p in (image, mask))
    return cv2.resize(estimate_alpha(small, coarse, _COLOUR_BAND_PX), (width, height), interpolation=cv2.INTER_LINEAR)


def combine_masks(
    from_source: UInt8[np.ndarray, "h w"], from_portrait: UInt8[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w"]:
    """One mask of two readings: their mean, so that a pixel is sure only where both agree."""
    return ((from_source.astype(np.uint16) + from_portrait + 1) // 2).astype(np.uint8)


def estimate_alpha(
    image: Float[np.ndarray, "h w 3"], mask: Float[np.ndarray, "h w"], band_px: tuple[int, int] = (_BAND_PX, _BAND_PX)
) -> Float[np.ndarray, "h w"]:
    """Alpha in [0, 1]: the mask where it is sure, closed-form matting in the band between."""
    mask = _one_piece(mask)
    sure_person, sure_background = trimap(mask, band_px)
    alpha = sure_person.astype(np.float64)
    unknown = ~(sure_person | sure_background)
    if unknown.any():
        alpha[unknown] = _solve(image, mask, alpha, unknown)
    return np.clip((alpha - _HAZE) / (1 - 2 * _HAZE), 0, 1)


def _one_piece(mask: np.ndarray) -> np.ndarray:
    """The mask without what lies apart from its largest piece: lights and furniture that look like a person."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0.5).astype(np.uint8))
    if len(stats) == 1:
        return np.zeros_like(mask)
    largest = labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    return mask * cv2.dilate(largest.astype(np.uint8), _disc(_REACH_PX))


def _disc(radius_px: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius_px + 1, 2 * radius_px + 1))


def trimap(
    mask: Float[np.ndarray, "h w"], band_px: tuple[int, int]
) -> tuple[Bool[np.ndarray, "h w"], Bool[np.ndarray, "h w"]]:
    """Pixels that are surely the person and surely not, each pulled back by its `band_px`, but not at the border."""
    person = cv2.erode((mask > _SURE).astype(np.uint8), _disc(band_px[0]))
    background = cv2.erode((mask < 1 - _SURE).astype(np.uint8), _disc(band_px[1]))
    return person > 0, background > 0


def _solve(image: np.ndarray, mask: np.ndarray, known: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Minimise alpha' L alpha + prior (alpha - mask)^2 over the unknown pixels, the others fixed."""
    laplacian = _matting_laplacian(image, unknown)
    inside = np.flatnonzero(unknown)
    rows = laplacian[inside]
    system = rows[:, inside] + _PRIOR * sparse.identity(len(inside), format="csr")
    right = _PRIOR * mask.ravel()[inside] - rows @ known.ravel()
    jacobi = sparse.diags(1 / system.diagonal())
    start = mask.ravel()[inside]
    solved, _ = scipy.sparse.linalg.cg(system, right, x0=start, rtol=_SOLVER_TOLERANCE, maxiter=400, M=jacobi)
    return np.clip(solved, 0, 1)


def _matting_laplacian(image: np.ndarray, unknown: np.ndarray) -> sparse.csr_matrix:
    """Levin's Laplacian (equation 12) summed over the 3x3 windows that hold an unknown pixel."""
    height, width = unknown.shape
    touched = cv2.dilate(unknown.astype(np.uint8), np.ones((3, 3), np.uint8))[1:-1, 1:-1] > 0
    centre = np.flatnonzero(np.pad(touched, 1))
    around = (np.arange(-1, 2)[:, None] * width + np.arange(-1, 2)).ravel()
    pixels = centre[:, None] + around  # (windows, 9)
    colours = image.reshape(-1, 3)[pixels]
    colours = colours - colours.mean(axis=1, keepdims=True)
    covariance = np.einsum("nic,nid->ncd", colours, colours) / 9 + _EPSILON / 9 * np.eye(3)
    affinity = (1 + colours @ _inverses(covariance) @ colours.transpose(0, 2, 1)) / 9
    values = np.eye(9) - affinity
    rows, columns = np.repeat(pixels, 9, axis=1), np.tile(pixels, 9)
    size = height * width
    return sparse.coo_matrix((values.ravel(), (rows.ravel(), columns.ravel())), shape=(size, size)).tocsr()


def _inverses(symmetric: Float[np.ndarray, "n 3 3"]) -> Float[np.ndarray, "n 3 3"]:
    """Inverse matrices by their adjugates: a fifth of the time of LAPACK's, which is called for each."""
    a, b, c = np.moveaxis(symmetric, 1, 0)
    adjugate = np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)], axis=1)
    return adjugate / np.einsum("nd,nd->n", a, adjugate[:, 0])[:, None, None]


def estimate_foreground(
    image: Float[np.ndarray, "h w 3"], alpha: Float[np.ndarray, "h w"]
) -> Float[np.ndarray, "h w 3"]:
    """The person's own colour at every pixel, in [0, 1]: free of background where alpha is between 0 and 1."""
    foreground, background = image, image
    weight = alpha[..., None]
    for blur_px in _BLUR_PX:
        foreground = _weighted_blur(foreground, alpha**_BLUR_POWER, blur_px)
        background = _weighted_blur(background, (1 - alpha) ** _BLUR_POWER, blur_px)
        rest = image - weight * foreground - (1 - weight) * background
        foreground = np.clip(foreground + weight * rest, 0, 1)
    return foreground


def _weighted_blur(colour: np.ndarray, weight: np.ndarray, blur_px: int) -> np.ndarray:
    size = (blur_px, blur_px)
    total = cv2.blur(colour * weight[..., None], size)
    return total / (cv2.blur(weight, size)[..., None] + 1e-6)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.round(255 * values), 0, 255).astype(np.uint8)
