"""Arrays in .npy files, which name nothing themselves: what they hold is checked against what was expected."""

from pathlib import Path

import numpy as np

from dataprep.errors import ConfigError


def load_array(path: Path, what: str) -> np.ndarray:
    """Read one array, unpickling nothing; raises ConfigError on what is cut off or is something else."""
    try:
        with path.open("rb") as file:
            return np.lib.format.read_array(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError) as error:
        raise ConfigError(f"{what}: not an array that can be read ({error}); write it with numpy.save") from error


def read_rows(path: Path, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Read float32 rows of a shape, at least one; `what` names the file in errors.

    Raises ConfigError on a file that is missing or cut off, and on rows that are none, misshapen or not finite.
    """
    if not path.is_file():
        raise ConfigError(f"{what}: no such file; expected an array {shape_text(shape)}, written by numpy.save")
    array = load_array(path, what)
    if array.ndim != 1 + len(shape) or array.shape[1:] != shape or not len(array):
        raise ConfigError(f"{what}: has shape {list(array.shape)}, expected {shape_text(shape)} with at least one row")
    if array.dtype.kind not in "fiu":
        raise ConfigError(f"{what}: holds {array.dtype}, expected numbers")
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused as that
        rows = array.astype(np.float32)
    finite_N = np.isfinite(rows.reshape(len(rows), -1)).all(1)
    if not finite_N.all():
        raise ConfigError(f"{what}: row {int(np.argmin(finite_N))} is not finite as float32")
    return rows


def shape_text(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join(["N", *map(str, shape)]) + "]"
