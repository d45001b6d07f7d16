"""The file that a setting of the body model names."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from dataprep.files.file_hashes import remembered_sha256
from dataprep.models.body.smpl import STANDIN_PATH, BodyModel, load_body
from dataprep.models.body.smpl_keypoints import with_keypoints
from dataprep.models.licensed import find_file

STANDIN = "body_anny"


def open_body(named: str = STANDIN) -> BodyModel:
    """The shipped body by its name, else a file (a path, or a name in the assets folder), key points included."""
    if named == STANDIN:
        return load_body(STANDIN_PATH)
    path = find_file(named, "body.model")
    return _opened(path, remembered_sha256(path))


@lru_cache(maxsize=1)
def _opened(path: Path, sha256: str) -> BodyModel:
    """One process asks several times: for names, for fits. The hash is part of the key."""
    return with_keypoints(load_body(path))
