"""GAGAvatar's data: pictures in an LMDB, FLAME's parameters and cameras in a pickle, keys by split.

img_lmdb/     <person>_<number> -> PNG of the head on black, 512 px
optim.pkl     by key: bbox (4), shapecode (300), expcode (100), posecode (6), eyecode (6), transform_matrix (3, 4)
dataset.json  {"train": [keys], "val": [keys], "test": [keys]}

Its tracker sees a square of 1.65 heads through a lens of 12 half sides; so FLAME is fitted anew to that crop and lens.
Cameras are PyTorch3D's: points are rows, x to the left, y up, z away from the camera, FLAME scaled by 5.
"""

from __future__ import annotations

import json
import pickle
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from dataprep.errors import ConfigError
from dataprep.extras import require_extra
from dataprep.fits.face.flame_fit import FlameFit
from dataprep.frames import geometry
from dataprep.pictures.codecs import decode_mask, decode_rgb, encode_png
from dataprep.tables.labels import LANDMARKS68
from pipelines.commands.layouts.flame_labels import fitted, open_flame
from pipelines.commands.layouts.layout_base import Choices, Sample, TrainerLayout, write_bytes

FOCAL, VERTICES_SCALE, HEADS = 12.0, 5.0, 1.65  # of its tracker: lens in half sides, FLAME's scale, crop in heads
LANDMARKS_OF_HEAD = 2 / 3.5  # brow to chin are two of the three and a half parts of a head's height
_CHIN, _BROWS = 8, slice(17, 27)
_P3D_FROM_GL = np.diag([-1.0, 1.0, -1.0])
_MAP_BYTES = 1 << 40  # at most; the file is as large as what is in it
_README = """# GAGAvatar's pictures and tracks

{count} pictures of {people} people, as GAGAvatar_track writes them: `img_lmdb`, `optim.pkl`, `dataset.json`.

- put this folder's path into its config: `DATASET.PATH`; `FLAME_SCALE` is 5.0.
- a photograph is a frame, a person a video. Training takes another frame of the same person as the source. So people
  with one photograph are in `optim.pkl` and in no list of `dataset.json`: {alone} of them. Videos have many frames.
- shapes are fitted picture by picture; its tracker shares them within a video.
- `optim.pkl` is a pickle of arrays, as its loader wants one: open it only where you trust who wrote it.
"""


def write_gagavatar(target: Path, samples: Iterator[Sample], choices: Choices) -> int:
    """Write the folder; returns how many samples there were.

    Raises ConfigError without FLAME's files, AssetError where they are none or the package lmdb is absent.
    """
    flame = open_flame(choices)
    if flame is None:
        raise ConfigError("--layout gagavatar needs FLAME: --flame generic_model.pkl --flame-landmarks "
                          "landmark_embedding.npy")  # fmt: skip
    require_extra("lmdb", "--layout gagavatar")
    numbers: dict[str, int] = {}
    frames, splits, tracked = Counter[int](), defaultdict[str, list[str]](list), dict[str, dict[str, np.ndarray]]()
    with _open(target / "img_lmdb") as put:
        for row, images in samples:
            person = numbers.setdefault(row.get("person") or row["sample_id"], len(numbers))
            key = f"{person:06d}_{frames[person]}"
            frames[person] += 1
            crop_px, box = head_crop(np.asarray(row[LANDMARKS68], np.float64))
            put(key, encode_png(on_black(images, crop_px)))
            tracked[key] = {"bbox": box, **track(fitted(flame, row, crop_px, FOCAL / 2))}
            splits[row["split"]].append(key)
    write_bytes(target / "optim.pkl", pickle.dumps(tracked, protocol=4))
    several = {split: [key for key in keys if frames[int(key.partition("_")[0])] > 1] for split, keys in splits.items()}
    listed = {"train": several.get("train", []), "val": several.get("val", []), "test": several.get("val", [])}
    write_bytes(target / "dataset.json", json.dumps(listed).encode())
    alone = sum(count == 1 for count in frames.values())
    said = _README.format(count=len(tracked), people=len(frames), alone=alone)
    write_bytes(target / "README.md", said.encode())
    return len(tracked)


def head_crop(
    landmarks_px: Float[np.ndarray, "68 2"],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "4"]]:
    """Return the crop (left, top, side; portrait pixels) and the head's box in it (left, top, right, bottom; 0 to 1).

    The head reaches as far above the brows as proportions say, and as far aside as it is high at least.
    """
    chin = landmarks_px[:, 1].max()
    height = (chin - landmarks_px[_BROWS, 1].mean()) / LANDMARKS_OF_HEAD
    left, right = landmarks_px[:, 0].min(), landmarks_px[:, 0].max()
    side = max(height, right - left)
    middle = np.array([(left + right) / 2, chin - height / 2])
    crop = HEADS * side
    corner = middle - crop / 2
    half = np.array([max(right - left, 0.8 * height), height]) / 2
    box = np.concatenate([middle - half - corner, middle + half - corner]) / crop
    return np.array([*corner, crop]), box.clip(0, 1).astype(np.float32)


def on_black(images: Mapping[str, bytes], crop_px: Float[np.ndarray, "3"]) -> np.ndarray:
    """Return the crop of a portrait, taken off its white and laid on black, as its tracker's matting does."""
    alpha = decode_mask(images["alpha"]).astype(np.float32)[..., None]
    black = np.clip(decode_rgb(images["portrait"]) - (255 - alpha), 0, 255)
    scale = geometry.PORTRAIT_PX / crop_px[2]
    into = np.array([[scale, 0, -crop_px[0] * scale], [0, scale, -crop_px[1] * scale]])
    size = (geometry.PORTRAIT_PX, geometry.PORTRAIT_PX)
    return (cv2.warpAffine(black, into, size, flags=cv2.INTER_CUBIC).clip(0, 255) + 0.5).astype(np.uint8)


def track(fit: FlameFit) -> dict[str, np.ndarray]:
    """Return its tracker's arrays of a picture: the head's turn and place are the camera's part."""
    turn = _P3D_FROM_GL @ Rotation.from_rotvec(fit.rotation).as_matrix()
    # points are R (v - root) + root + t, and FLAME's own turn is left out: R v + (root - R root + t)
    place = VERTICES_SCALE * (_P3D_FROM_GL @ (fit.root + fit.translation) - turn @ fit.root)
    arrays = {
        "shapecode": fit.shape, "expcode": fit.expression, "posecode": np.concatenate([np.zeros(3), fit.jaw]),
        "eyecode": fit.eyes, "transform_matrix": np.column_stack([turn.T, place]),
    }  # fmt: skip
    return {name: np.asarray(value, np.float32) for name, value in arrays.items()}


@contextmanager
def _open(folder: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Open a new LMDB: yields what puts a value under a key."""
    import lmdb

    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=_MAP_BYTES) as database:

        def put(key: str, value: bytes) -> None:
            with database.begin(write=True) as transaction:
                transaction.put(key.encode(), value)

        yield put


GAGAVATAR = TrainerLayout(write_gagavatar, "README.md", frozenset({"flame", "flame_landmarks"}))
