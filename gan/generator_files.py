"""From files to a generator that may speak with given labels: checkpoint, body, nearest-vertex list.

The rule behind all of it: coefficients mean something only to the models they were made with. Weights that are not ours
need SMPL and BFM; ours need the very body that they were trained with.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int

from dataprep.errors import AssetError, ConfigError
from dataprep.files.file_hashes import remembered_sha256
from dataprep.files.npy_files import load_array
from dataprep.models.body.smpl import STANDIN_PATH, BodyModel, load_body
from dataprep.models.licensed import assets_folder, find_file
from gan.checkpoint import Bases, Checkpoint, load_into, read_checkpoint, require_bases, require_smpl
from gan.errors import BasisError, CheckpointError
from gan.rendering.body_arrays import body_arrays
from gan.rendering.generator import Generator
from gan.shipped import DEMO_FILE

SMPL_FILES = ("SMPL_NEUTRAL.npz", "SMPL_NEUTRAL.pkl")
NEAREST_FILE = "valid_smpl_knn_index.npy"


def open_checkpoint(named: Path | None) -> Checkpoint:
    """Read a checkpoint given as a path or as the name of a file in the assets folder; the shipped one if none is."""
    for path in (DEMO_FILE,) if named is None else (named, assets_folder() / named.name):
        if path.is_file():
            return read_checkpoint(path)
    raise CheckpointError(
        f"--checkpoint {named}: no such file. Leave it out to see the people that come with the package; get the "
        "authors' sshq512.pt (github.com/YueWuHKUST/AniPortraitGAN, under their terms; it needs SMPL_NEUTRAL.pkl too) "
        f"and put it into {assets_folder()}; or train a generator of your own: `shhq-hs train --data OUT --preset "
        "small --out RUN` (`make train-tiny` in minutes) and pass RUN/generator.pt"
    )


def open_generator(
    checkpoint: Checkpoint, labels: list[Bases], body_named: str | None, nearest: Path | None
) -> Generator:
    """Build the checkpoint's generator, once the models behind its labels, its weights and its body agree."""
    for bases in labels:
        require_bases(checkpoint, bases)
    body = open_body(checkpoint, body_named)
    if checkpoint.published:
        require_smpl(len(body.v_template))
    generator = Generator(body_arrays(body), checkpoint.config, _nearest(checkpoint, body, nearest), 1)
    load_into(generator, checkpoint)
    return generator.eval().requires_grad_(False)


def open_body(checkpoint: Checkpoint, named: str | None) -> BodyModel:
    """Return the body that the weights were trained with: the file named, else the first of the known ones that is it.

    Raises AssetError on a file that cannot be read, BasisError on another body than the checkpoint's.
    """
    files = [find_file(named, "--body")] if named else list(_known_bodies(checkpoint.published))
    wanted = checkpoint.bases
    if wanted is None:
        return load_body(files[0])
    for path in files:
        if remembered_sha256(path) == wanted.body_sha256:
            return load_body(path)
    raise BasisError(
        f"{checkpoint.path} was trained with body model {wanted.body_name} (sha256 {wanted.body_sha256[:12]}); "
        + (f"{named} is another file" if named else "it is neither shipped nor in the assets folder")
        + ". Pass that file: --body FILE (`shhq-hs assets` says where bodies come from)"
    )


def _known_bodies(published: bool) -> Iterator[Path]:
    kept = [path for name in SMPL_FILES if (path := assets_folder() / name).is_file()]
    return iter([*kept, STANDIN_PATH] if published else [STANDIN_PATH, *kept])


def _nearest(checkpoint: Checkpoint, body: BodyModel, given: Path | None) -> Int[np.ndarray, " n"] | None:
    """Return the list given, for the authors' weights theirs where the user has it, else None: from the weights."""
    kept = assets_folder() / NEAREST_FILE
    if given is None:
        return read_nearest(kept, len(body.v_template)) if checkpoint.published and kept.is_file() else None
    return read_nearest(given, len(body.v_template))


def read_nearest(path: Path, vertices: int) -> Int[np.ndarray, " n"]:
    """Read vertex numbers to search among; raises AssetError where there is no file, ConfigError on other content."""
    if not path.is_file():
        raise AssetError(f"--nearest {path}: no such file; leave it out to choose vertices by skinning weights")
    index = load_array(path, f"--nearest {path}")
    if index.ndim != 1 or index.dtype.kind not in "iu" or not len(index):
        raise ConfigError(f"--nearest {path}: {index.dtype} of shape {index.shape}, expected a list of vertex numbers")
    if index.min() < 0 or index.max() >= vertices:
        raise ConfigError(
            f"--nearest {path}: vertices {index.min()}..{index.max()}, this body has 0..{vertices - 1}; "
            "the list belongs to another body"
        )
    return index.astype(np.int64)
