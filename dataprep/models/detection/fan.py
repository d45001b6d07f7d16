"""68 landmarks by face-alignment's FAN (2D, Bulat and Tzimiropoulos 2017), with weights the user already has.

The package downloads missing weights without a check; here they must lie in torch's hub cache (or a given file) and
carry the hash that their name promises.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import warnings
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from dataprep.errors import AssetError
from dataprep.extras import require_extra

FILE_NAME = "2DFAN4-11f355bf06.pth.tar"
SHA256_PREFIX = "11f355bf06"
LICENCE = "research-only"  # trained on 300-W-LP
_SOURCE = f"https://www.adrianbulat.com/downloads/python-fan/{FILE_NAME}"
_NETWORK_SIZE = 4


def default_path() -> Path:
    """Where face-alignment keeps its 2D network."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    hub = Path(os.environ.get("TORCH_HOME", f"{caches}/torch")).expanduser() / "hub"  # torch.hub.get_dir()
    return hub / "checkpoints" / FILE_NAME


def verified_sha256(path: Path, prefix: str = SHA256_PREFIX) -> str:
    """The sha256 of the weight file; raises AssetError when it is missing or is another file."""
    if not path.is_file():
        raise AssetError(
            f"FAN weights {path}: no such file; fetch {_SOURCE} to that place, or set detect.landmarks=mesh"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(prefix):
        raise AssetError(
            f"FAN weights {path}: sha256 {found[:10]}.., its name promises {prefix}; fetch {_SOURCE} again"
        )
    return found


class FanLandmarks:
    """Photograph and face box in, 68 landmarks out."""

    def __init__(self, path: Path | None = None, device: str = "cpu", sha256_prefix: str = SHA256_PREFIX) -> None:
        require_extra("face_alignment", "detect.landmarks=fan")
        self.path = path or default_path()
        self.device = device
        self.sha256 = verified_sha256(self.path, sha256_prefix)

    def __call__(
        self, rgb: UInt8[np.ndarray, "h w 3"], face_bbox_px: Float[np.ndarray, "4"]
    ) -> tuple[Float[np.ndarray, "68 2"], Float[np.ndarray, "68"]]:
        """Landmarks (68, 2) in px of the photograph and their heat-map scores; the box is x0 y0 x1 y1 in px."""
        found, scores, _ = self._aligner.get_landmarks_from_image(
            rgb, detected_faces=[[*face_bbox_px.tolist(), 1.0]], return_landmark_score=True
        )
        return np.asarray(found[0], np.float64), np.asarray(scores[0], np.float64).reshape(68)

    @cached_property
    def _aligner(self) -> Any:
        return _open(self.path, self.device)


def _open(path: Path, device: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import face_alignment
        import torch
        from face_alignment.models import FAN

    class LocalFaceAlignment(face_alignment.FaceAlignment):
        """Loads the verified file; the original would look into its cache and download."""

        def _load_native(self, network_name: str, network_size: int, device: str, dtype: Any) -> Any:
            network = FAN(network_size)
            try:
                network.load_state_dict(torch.load(path, map_location=device, weights_only=True))
            except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
                raise AssetError(f"FAN weights {path}: not a 2DFAN-4 state dict: {str(error)[:200]}") from None
            return network.to(device, dtype=dtype).eval()

    # compile=False: compiling costs two minutes once; 'folder' builds no face detector, boxes are given
    return LocalFaceAlignment(
        face_alignment.LandmarksType.TWO_D,
        network_size=_NETWORK_SIZE,
        device=device,
        face_detector="folder",
        compile=False,
    )
