"""Enlarge images four times with SPAN or a network of Real-ESRGAN, tile by tile.

Engine `native` runs our networks, engine `realesrgan` the RealESRGANer of the named package, which has no SPAN.
`superres_files` knows where weights lie.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import pickle
import tempfile
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dataprep.errors import AssetError, ConfigError
from dataprep.models.devices import resolve_device
from dataprep.models.superres.basicsr_compat import basicsr_network, real_esrganer
from dataprep.models.superres.ncnn import read_network
from dataprep.models.superres.rrdbnet import RRDBNet, rrdbnet_from_state, rrdbnet_state_from_ncnn
from dataprep.models.superres.span import SPAN, span_from_state, span_state_from_arrays, without_ringing
from dataprep.models.superres.srvgg import SRVGGNetCompact, srvgg_from_state, srvgg_state_from_ncnn
from dataprep.models.superres.superres_files import (
    PACKAGED,
    SHIPPED,
    Engine,
    Precision,
    check_engine,
    model_file,
    packaged_bytes,
    shipped_arrays,
)

SCALE = 4


def load_network(model: str) -> RRDBNet | SPAN | SRVGGNetCompact:
    """Load a model by name or `.pth` path, in float32, on the CPU, in eval mode."""
    if model in SHIPPED:
        return span_from_state(span_state_from_arrays(shipped_arrays(model))).eval()
    state = _packaged_state(model) if model in PACKAGED else _checkpoint_state(model_file(model).path)
    if "conv_first.weight" in state:
        return rrdbnet_from_state(state).eval()
    if "body.0.weight" in state:
        return srvgg_from_state(state).eval()
    if "conv_cat.weight" in state:
        return span_from_state(state).eval()
    known = "RRDBNet, SRVGGNetCompact or SPAN (its training form multiplied out)"
    raise AssetError(f"super-resolution model {model}: expected {known}; its first key is {next(iter(state))!r}")


def _packaged_state(model: str) -> dict[str, Tensor]:
    param, weights = packaged_bytes(model)
    layers = read_network(param.decode("ascii"), weights)
    convert = srvgg_state_from_ncnn if any(layer.kind == "PReLU" for layer in layers) else rrdbnet_state_from_ncnn
    return convert(layers)


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
        check_engine(model, engine)
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
        network.to(self.device)
        network.lower(self.dtype)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _by_network(self, rgb: np.ndarray) -> np.ndarray:
        if isinstance(self._network, SPAN):
            rgb = without_ringing(rgb)
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
        if isinstance(network, SPAN):
            raise ConfigError(f"super-resolution engine realesrgan has no SPAN, which {self.model} is: take native")
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
