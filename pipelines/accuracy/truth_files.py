"""Truth files: what is known of a photograph's person (docs/truth.md has the schema)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from dataprep.errors import ConfigError, StoreError
from dataprep.files.filenames import unescape
from dataprep.files.untrusted import leads_below, parse_json
from dataprep.pictures.codecs import decode_mask
from dataprep.tables.labels import BFM_EXP

_REQUIRED = {"joints_cam_m", "joints_px", "rotations_cam", "landmarks68_px", "head_from_3dmm", BFM_EXP, "crop"}


@dataclass(frozen=True)
class Truth:
    """One truth file. `alpha` is None when the file names none."""

    content: Mapping[str, Any]
    alpha: np.ndarray | None

    def array(self, key: str) -> Float[np.ndarray, "..."]:
        return np.asarray(self.content[key], np.float64)


def truth_path(folder: Path, source_path: str) -> Path:
    """Where the truth of an input lies; it need not exist. Raises StoreError for one that would lie elsewhere."""
    if not leads_below(unescape(source_path)):
        raise StoreError(f"the data set has an input called {source_path!r}, which leads out of a folder")
    return folder / (unescape(source_path) + ".json")


def read_truth(path: Path) -> Truth:
    """Read a truth file and its alpha; raises ConfigError when it is not of schema 1."""
    try:
        content = parse_json(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error}); docs/truth.md says what a truth file holds") from error
    if content.get("schema") != 1:
        raise ConfigError(f"{path}: truth schema {content.get('schema')!r}, expected 1 (docs/truth.md)")
    if missing := _REQUIRED - content.keys():
        raise ConfigError(f"{path}: no {', '.join(sorted(missing))}; docs/truth.md lists what a truth file holds")
    alpha = path.parent / Path(content["alpha"]).name if content.get("alpha") else None
    if alpha and not alpha.is_file():
        raise ConfigError(f"{path}: names the alpha {alpha.name}, and there is no such file beside it")
    return Truth(content, decode_mask(alpha.read_bytes()) if alpha else None)
