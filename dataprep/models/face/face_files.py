"""Opening the face model that a setting names, with its identity for the manifest."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from dataprep.files.file_hashes import remembered_sha256
from dataprep.models.face.bfm import STANDIN_PATH, FaceModel, load_face
from dataprep.models.face.bfm09 import FILES, MAIN_FILE, bfm09_sha256, load_bfm09
from dataprep.models.licensed import find_file

STANDIN = "face_anny"


def files_of(named: str) -> tuple[str, ...]:
    """The files that a face model of the user's own consists of: six for BFM 2009 raw, in the folder of its .mat."""
    path = Path(named)
    return tuple(str(path.with_name(file)) for file in FILES) if path.name == MAIN_FILE else (named,)


def open_face(named: str = STANDIN) -> FaceModel:
    """The shipped face by its name, else a file (a path, or a name in the assets folder); BFM 2009 raw by its .mat."""
    if named == STANDIN:
        return load_face(STANDIN_PATH)
    path = find_file(named, "face.model")
    if path.name == MAIN_FILE:
        return _opened(path, bfm09_sha256(path.parent))
    return _opened(path, remembered_sha256(path))


@lru_cache(maxsize=1)
def _opened(path: Path, sha256: str) -> FaceModel:
    """One process asks several times: for names, for fits. The hash is part of the key."""
    return load_bfm09(path.parent) if path.name == MAIN_FILE else load_face(path)
