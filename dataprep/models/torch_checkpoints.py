"""Weights out of other people's torch checkpoints: no code of the file runs, and every key is accounted for."""

from __future__ import annotations

import logging
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dataprep.errors import AssetError

logger = logging.getLogger(__name__)
# What a truncated or invented file makes torch raise.
_BROKEN = (
    pickle.UnpicklingError, RuntimeError, EOFError, OSError, KeyError, ValueError, TypeError, AttributeError,
    IndexError, AssertionError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
_GLOBAL = re.compile(r"GLOBAL (\S+)")  # in torch's message about a refused name
_COUNTER = ".num_batches_tracked"  # older torch did not write it, and evaluation does not read it


class _Inert:
    """Stands for numpy numbers that optimisers and schedulers leave in checkpoints; nothing reads them."""

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.args = (state,)


_NUMPY_NAMES = (
    "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "_codecs.encode",
    "numpy.dtypes.Float64DType", "numpy.dtypes.Float32DType", "numpy.dtypes.Int64DType",
)  # fmt: skip


def read_checkpoint(path: Path, entry: str, source: str) -> dict[str, Tensor]:
    """The state dict under `entry`, or the file's own dict, with "module." stripped.

    AssetError when the file is missing, broken, asks for code, or holds something else; `source` says where the right
    one comes from.
    """
    inert: list[Any] = [(_Inert, name) for name in _NUMPY_NAMES]
    try:
        with torch.serialization.safe_globals(inert):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise AssetError(f"weights {path.name}: no such file in {path.parent}; it comes from {source}") from None
    except _BROKEN as broken:
        asked = _GLOBAL.search(str(broken)) if isinstance(broken, pickle.UnpicklingError) else None
        if asked:
            raise AssetError(
                f"weights {path.name}: the checkpoint asks for {asked[1]}, which no weights need, and was not read; "
                f"fetch it again from {source}"
            ) from None
        first_line = (str(broken).strip().splitlines() or [type(broken).__name__])[0]
        raise AssetError(
            f"weights {path.name}: not a whole torch checkpoint ({first_line[:120]}); fetch it again from {source}"
        ) from None
    state = content.get(entry, content) if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise AssetError(f"weights {path.name}: expected a dict of tensors, bare or under {entry!r}; see {source}")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def load_weights(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    """Fill `network` in place; AssetError names keys that are missing or of another shape, a warning unknown ones."""
    own = network.state_dict()
    missing = [key for key in own if key not in state and not key.endswith(_COUNTER)]
    unknown = [key for key in state if key not in own]
    shapes = [key for key in own if key in state and state[key].shape != own[key].shape]
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:3])}{', ...' if len(keys) > 3 else ''})"
        for what, keys in (("missing", missing), ("of another shape", shapes), ("unknown", unknown))
        if keys
    ]
    if missing or shapes:
        raise AssetError(
            f"weights {name}: not a state dict of {type(network).__name__}: of {len(own)} keys, {'; '.join(problems)}"
        )
    broken = [key for key, value in state.items() if value.is_floating_point() and not bool(value.isfinite().all())]
    if broken:
        raise AssetError(f"weights {name}: {broken[0]} holds numbers that are not finite")
    if unknown:
        logger.warning("weights %s: left out %s", name, problems[-1])
    network.load_state_dict({key: value for key, value in state.items() if key in own}, strict=False)
