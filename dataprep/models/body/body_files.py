"""The files that a setting of the body model names: the model, and the lifter that belongs to it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from dataprep.errors import AssetError
from dataprep.models.body.smpl import STANDIN_PATH, BodyModel, load_body
from dataprep.models.body.smpl_keypoints import with_keypoints
from dataprep.models.licensed import assets_folder, file_sha256, find_file
from dataprep.models.regressors.lifter_file import WEIGHTS_PATH, LifterFile, read_lifter

STANDIN = "body_anny"


def open_body(named: str = STANDIN) -> BodyModel:
    """The shipped body by its name, else a file (a path, or a name in the assets folder), key points included."""
    if named == STANDIN:
        return load_body(STANDIN_PATH)
    path = find_file(named, "body.model")
    return _opened(path, file_sha256(path))


@lru_cache(maxsize=1)
def _opened(path: Path, sha256: str) -> BodyModel:
    """One process asks several times: for names, for fits. The hash is part of the key."""
    return with_keypoints(load_body(path))


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
