"""What people look like, as codes: the noise that a paired start gives to each real picture.

The labels say where a person's face and body are, but not the colour of skin, hair and clothes: that is what the noise
code z_eps stands for. So that pictures can be compared with renders, each person needs one. It is taken from the
pictures themselves: colours are carried along the labels' rays to the canonical person and averaged over the pictures
of one person; the principal components of these textures, each scaled to unit variance, are the codes. The noise of
random people is standard normal too, so their codes are new mixtures of what was seen.

Rows of the same identity code are pictures of one person.

Suffixes: N rows, P persons, K code values, C components, T texture cells, V their values, R rays, L levels.
"""

import dataclasses
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int

from dataprep.tables.store import atomic_file
from gan.config import MAP_CENTRE_Y, NOISE_CODE, GeneratorConfig
from gan.data.appearance_basis import Basis
from gan.data.label_rows import Labels
from gan.data.shards import ShardDataset
from gan.rendering.generator import Generator, View
from gan.training.at_hits import Hits, hits_of_rays, style_of
from gan.training.warm_start.beginnings import REACH_IN, REACH_OUT

CELLS = 32  # of a texture's side: a face is some ten wide
COMPONENTS = 64  # at most: the rest of the noise stays free, for what textures of 32 cells cannot tell
PIXELS = 24  # a side of the pictures that textures are made of, seen with half the samples a ray
JITTER = 0.25  # of a code's deviation, anew in every picture, so that the space between people is filled as well
LEAST_VARIANCE = 1e-6  # of the first component's: what is below is rounding
PASSING_WEIGHT = 0.02  # of a ray beside the skin, beside 1: the far half of a face seen from one side was white
_LEAST_WEIGHT = 1e-9
_BATCH = 16


class AppearanceCodes(NamedTuple):
    """Codes of every row, plain and mirrored, and their basis; not yet filled up to the length of the noise.

    `key` says of which data they are.
    """

    plain_NC: Float[np.ndarray, "n c"]
    mirrored_NC: Float[np.ndarray, "n c"]
    basis: Basis
    key: str

    def code(self, row: int, mirrored: bool, random: np.random.Generator) -> Float[np.ndarray, " k"]:
        """Return a noise code for a row: its components, jittered, and fresh noise in what is left."""
        known = (self.mirrored_NC if mirrored else self.plain_NC)[row]
        code = random.standard_normal(NOISE_CODE, dtype=np.float32)
        count = len(known)
        code[:count] = (1 - JITTER**2) ** 0.5 * known + JITTER * code[:count]
        return code


def appearance_codes(
    generator: Generator,
    dataset: ShardDataset,
    key: str,
    told: Callable[[int, int], None],
    basis: Basis | None = None,
) -> AppearanceCodes:
    """Read every picture of `dataset` once; `told` hears how many rows of how many are done.

    A generator that has learnt the codes of a basis needs those of the same one: pass it. Otherwise it is found here.
    """
    person_N = persons(dataset.labels)
    colour_PT3, weight_PT = _textures(generator, dataset, person_N, told)
    plain = _texture_rows(colour_PT3, weight_PT)
    flipped = _mirrored(plain)
    basis = basis or principal_components(np.concatenate([plain, flipped]))
    plain_NC, flipped_NC = (
        ((textures - basis.mean_V) @ basis.direction_VC).astype(np.float32)[person_N] for textures in (plain, flipped)
    )
    return AppearanceCodes(plain_NC, flipped_NC, basis, key)


def read_appearance(path: Path) -> AppearanceCodes | None:
    """Return what `write_appearance` wrote; None where nothing whole is: the pictures say it again."""
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            basis = Basis(arrays["mean"], arrays["directions"])
            return AppearanceCodes(arrays["plain"], arrays["mirrored"], basis, str(arrays["key"]))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        return None


def write_appearance(path: Path, appearance: AppearanceCodes) -> None:
    """Keep the codes, so that a run that goes on need not read every picture first."""
    plain, mirrored, (mean, directions), key = appearance
    with atomic_file(path) as file:
        np.savez(file, plain=plain, mirrored=mirrored, mean=mean, directions=directions, key=key)


def persons(labels: Labels) -> Int[np.ndarray, " n"]:
    """Number the persons of all rows."""
    return np.unique(labels.bfm_id, axis=0, return_inverse=True)[1].reshape(-1)


@torch.no_grad()
def _textures(
    generator: Generator, dataset: ShardDataset, person_N: np.ndarray, told: Callable[[int, int], None]
) -> tuple[Float[np.ndarray, "p t 3"], Float[np.ndarray, "p t"]]:
    """Sum up the colours, and how often each cell was seen, of every person."""
    colour = np.zeros((person_N.max() + 1, CELLS * CELLS, 3))
    weight = np.zeros((person_N.max() + 1, CELLS * CELLS))
    for first in range(0, len(dataset), _BATCH):
        rows = np.arange(first, min(first + _BATCH, len(dataset)))
        for row, cell_R, weight_R, colour_R3 in _splats(generator, dataset, rows):
            np.add.at(colour[person_N[row]], cell_R, weight_R[:, None] * colour_R3)
            np.add.at(weight[person_N[row]], cell_R, weight_R)
        told(int(rows[-1]) + 1, len(dataset))
    return colour, weight


def _splats(
    generator: Generator, dataset: ShardDataset, rows: Int[np.ndarray, " b"]
) -> Iterator[tuple[int, Int[np.ndarray, " r"], Float[np.ndarray, " r"], Float[np.ndarray, "r 3"]]]:
    """Yield row, cells of the texture, how much each counts and their colours, once a row and camera."""
    labels = dataset.labels.take(rows)
    fine = max(2, generator.config.fine_samples // 2)
    config = dataclasses.replace(generator.config, image_size=PIXELS, ray_size=PIXELS, fine_samples=fine)
    betas_BK, pose_BP3, z_id_BK, z_exp_BK = (
        torch.from_numpy(values) for values in (labels.smpl_betas, labels.joints_zyx, labels.bfm_id, labels.bfm_exp)
    )
    shape_style = generator.deform_net.style(z_id_BK, z_exp_BK)
    views: dict[View, np.ndarray] = {"portrait": labels.camera_pitch_yaw, "face": labels.face_pitch_yaw}
    for view, camera_B2 in views.items():
        _, neutral_BHWQ3 = generator.neutral_rays(betas_BK, pose_BP3, torch.from_numpy(camera_B2), view, config)
        for person, row in enumerate(rows):
            hits = hits_of_rays(generator, neutral_BHWQ3[person].flatten(0, 1), style_of(shape_style, person), config)
            seen_R, cell_R, weight_R = _cells(hits, generator.config)
            picture = dataset.image(int(row), view, PIXELS).reshape(-1, 3)
            yield int(row), cell_R, weight_R, picture[seen_R] / 127.5 - 1


def _cells(hits: Hits, config: GeneratorConfig) -> tuple[Int[np.ndarray, " r"], Int[np.ndarray, " r"], np.ndarray]:
    """Return rays that meet the person, the cell where each reaches the skin or comes closest to it, and its weight.

    Seen from the front, as radiance maps are. A ray that passes by the skin shows hair or what is behind the person.
    """
    skin = round((config.levels - 1) * REACH_OUT / (REACH_OUT + REACH_IN))
    reached_RL = hits.valid_RL[:, : skin + 1]
    seen_R = reached_RL.any(1).nonzero()[:, 0]
    deepest_R = reached_RL.shape[1] - 1 - reached_RL.flip(1).int().argmax(1)[seen_R]
    x_R, y_R, _ = hits.points_RL3[seen_R, deepest_R].unbind(1)
    across = lambda value_R: ((value_R / config.map_half_side + 1) / 2 * CELLS).long().clamp(0, CELLS - 1)  # noqa: E731
    weight_R = torch.where(deepest_R == skin, 1.0, PASSING_WEIGHT)
    return seen_R.numpy(), (across(y_R - MAP_CENTRE_Y) * CELLS + across(x_R)).numpy(), weight_R.numpy()


def _texture_rows(
    colour_PT3: Float[np.ndarray, "p t 3"], weight_PT: Float[np.ndarray, "p t"]
) -> Float[np.ndarray, "p v"]:
    """Return mean colours; where a person was not seen, the mean of all who were."""
    everybody_T3 = colour_PT3.sum(0) / np.maximum(weight_PT.sum(0), _LEAST_WEIGHT)[:, None]
    own_PT3 = colour_PT3 / np.maximum(weight_PT, _LEAST_WEIGHT)[..., None]
    return np.where(weight_PT[..., None] > 0, own_PT3, everybody_T3).reshape(len(own_PT3), -1)


def _mirrored(textures_PV: Float[np.ndarray, "p v"]) -> Float[np.ndarray, "p v"]:
    return np.ascontiguousarray(textures_PV.reshape(-1, CELLS, CELLS, 3)[:, :, ::-1]).reshape(textures_PV.shape)


def principal_components(textures_NV: Float[np.ndarray, "n v"]) -> Basis:
    """Find the basis of textures. Two textures have one direction of variance, not COMPONENTS."""
    mean_V = textures_NV.mean(0)
    variance_C, vector_VC = _directions(textures_NV - mean_V)
    count = min(COMPONENTS, int((variance_C > variance_C[0] * LEAST_VARIANCE).sum()))
    variance_C, vector_VC = variance_C[:count], vector_VC[:, :count]
    # A direction and its opposite are equally right: the largest entry is made positive, so that reruns agree.
    largest_C = np.abs(vector_VC).argmax(0)
    signed_VC = vector_VC * np.sign(vector_VC[largest_C, range(count)]) / np.sqrt(variance_C)
    return Basis(mean_V.astype(np.float32), signed_VC.astype(np.float32))


def _directions(centred_NV: Float[np.ndarray, "n v"]) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, "v c"]]:
    """Return variances, the largest first, and their directions; through the smaller of the two products."""
    count, values = centred_NV.shape
    if count > values:
        variance_C, vector_VC = np.linalg.eigh(centred_NV.T @ centred_NV / (count - 1))
        return variance_C[::-1], vector_VC[:, ::-1]
    variance_C, row_NC = np.linalg.eigh(centred_NV @ centred_NV.T / (count - 1))
    variance_C, vector_VC = variance_C[::-1], centred_NV.T @ row_NC[:, ::-1]
    return variance_C, vector_VC / np.maximum(np.linalg.norm(vector_VC, axis=0), 1e-30)
