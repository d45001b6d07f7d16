"""Which networks make features of pictures, and what of them belongs beside a number.

Suffixes: B batch, H W pixels, D feature dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from dataprep.files.file_hashes import remembered_sha256
from dataprep.models.licensed import assets_folder
from dataprep.models.superres.superres_files import model_file
from gan.evaluation import offline
from gan.evaluation.inception import FILES, INPUT_PX, load_inception
from gan.evaluation.resize import Resize, resized

DESCRIBED: dict[Resize, str] = {
    "tf1": "TensorFlow 1 bilinear (torch-fidelity)",
    "bilinear": "bilinear (pytorch-fid)",
    "clean": "Pillow's bicubic in float32 (clean-fid)",
}


@dataclass(frozen=True)
class NetworkSpec:
    """A network by name and hash, before it is loaded; small enough to send to other processes."""

    frechet_name: str
    kernel_name: str
    weights: str
    weights_sha256: str
    resize: str
    offline: Callable[[], nn.Module] | None = None
    inception: Path | None = None
    inception_resize: Resize = "tf1"

    def open(self, device: str = "cpu") -> "FeatureNetwork":
        if self.inception is None:
            assert self.offline is not None  # a spec has either
            offline_network = self.offline().to(device)
            return FeatureNetwork(self, device, lambda image_B3HW: offline_network(image_B3HW / 255))
        network, how = load_inception(self.inception).to(device), self.inception_resize
        if how == "bilinear":
            return FeatureNetwork(self, device, lambda image: network(resized(image / 255, INPUT_PX, how) * 2 - 1))
        return FeatureNetwork(self, device, lambda image: network((resized(image, INPUT_PX, how) - 128) / 128))


@dataclass(frozen=True)
class FeatureNetwork:
    """Makes features of 8-bit pictures: what a PNG would hold, for real and generated ones alike."""

    spec: NetworkSpec
    device: str
    features: Callable[[Tensor], Tensor]  # pictures in [0, 255]

    @torch.inference_mode()
    def __call__(self, image_BHW3: UInt8[np.ndarray, "b h w 3"]) -> Float[np.ndarray, "b d"]:
        image = torch.from_numpy(np.ascontiguousarray(image_BHW3)).to(self.device).permute(0, 3, 1, 2).float()
        return self.features(image).float().cpu().numpy()


def offline_networks() -> tuple[NetworkSpec, NetworkSpec]:
    """Return the networks that need no download, the one to look at first."""
    return (
        _offline("span", offline.SPAN_MODEL, offline.SpanFeatures, offline.SPAN_RESIZE),
        _offline("srvgg", offline.SRVGG_MODEL, offline.SrvggFeatures, offline.SRVGG_RESIZE),
    )


def _offline(name: str, model: str, network: Callable[[], nn.Module], resize: str) -> NetworkSpec:
    file = model_file(model)
    return NetworkSpec(f"frechet_{name}", f"kernel_{name} x100", file.name, file.sha256, resize, network)


def inception_network(path: Path, how: Resize = "tf1") -> NetworkSpec:
    resize, sha256 = f"{DESCRIBED[how]} to {INPUT_PX}", remembered_sha256(path)
    return NetworkSpec("FID", "KID x100", path.name, sha256, resize, inception=path, inception_resize=how)


def find_networks(inception: Path | None, how: Resize) -> list[NetworkSpec]:
    """Return the offline networks, and FID's where its weights are given or lie in the assets folder."""
    found = inception or next((path for name in FILES if (path := assets_folder() / name).is_file()), None)
    return [*offline_networks(), *([inception_network(found, how)] if found else [])]
