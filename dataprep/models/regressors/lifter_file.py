"""The file of a key-point lifter: its arrays and what it belongs to, before anybody builds the network from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataprep.errors import AssetError
from dataprep.models.body.body_files import STANDIN
from dataprep.models.body.smpl import BodyModel
from dataprep.models.licensed import assets_folder
from dataprep.models.shipped import NOT_SUCH_A_FILE, SHIPPED_FOLDER, read_shipped

WEIGHTS_PATH = SHIPPED_FOLDER / "lifter_anny.npz"


@dataclass(frozen=True, eq=False)
class LifterFile:
    """What the file holds; `lifter.TrainedLifter` says what the arrays mean."""

    state: Mapping[str, np.ndarray]  # weights by their name in the network
    residual_chol: np.ndarray  # (85, 85)
    worldless_chol: np.ndarray  # (85, 85)
    point_offsets_m: np.ndarray  # (23, 3)
    sha256: str
    meta: Mapping[str, Any]


def read_lifter(body: BodyModel, path: Path = WEIGHTS_PATH) -> LifterFile:
    """Read the lifter of `body`; AssetError when it is missing, broken or was trained on another body model."""
    command = "train one with `shhq-hs train-lifter -- --body FILE`"
    try:
        arrays, meta, sha256 = read_shipped(path)
        state = {key[4:]: value for key, value in arrays.items() if key.startswith("net/")}
        chol, worldless, offsets = (arrays[key] for key in ("residual_chol", "worldless_chol", "point_offsets_m"))
    except FileNotFoundError as missing:
        raise AssetError(f"lifter {path.name}: no such file in {path.parent}; {command}") from missing
    except NOT_SUCH_A_FILE as broken:
        raise AssetError(f"lifter {path.name}: not a lifter file ({broken}); {command}") from broken
    if meta["body_sha256"] != body.sha256:
        raise AssetError(
            f"lifter {path.name} was trained on body model {meta['body_name']} ({meta['body_sha256'][:12]}), not on "
            f"{body.name} ({body.sha256[:12]}); {command}"
        )
    return LifterFile(state, chol, worldless, offsets, sha256, meta)


def lifter_path(body: BodyModel) -> Path:
    """Where the lifter of a body model lies: shipped for the stand-in, else in the assets folder under its hash."""
    if body.name == STANDIN:
        return WEIGHTS_PATH
    return assets_folder() / f"lifter_{body.sha256[:16]}.npz"


def open_lifter_file(body: BodyModel, named: str) -> LifterFile:
    """The file of the lifter trained for `body`; AssetError offers the command that trains one.

    `named` is the body's setting.
    """
    path = lifter_path(body)
    if not path.is_file():
        raise AssetError(
            f"no lifter is trained for body model {body.name} (sha256 {body.sha256[:12]}): a lifter belongs to one "
            f"body model. Train it once (minutes): shhq-hs train-lifter -- --body {named}; or use the image regressor: "
            "--set body.regressor=hmr"
        )
    return read_lifter(body, path)
