"""Enlarge images four times with SPAN or a network of Real-ESRGAN, tile by tile.

Engine `native` runs our networks (`running`), engine `realesrgan` the RealESRGANer of the named package, which has no
SPAN.
`superres_files` knows where weights lie.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from dataprep.errors import AssetError, ConfigError
from dataprep.models.devices import resolve_device
from dataprep.models.superres.basicsr_compat import basicsr_network, real_esrganer
from dataprep.models.superres.ncnn import read_network
from dataprep.models.superres.rrdbnet import RRDBNet, rrdbnet_from_state, rrdbnet_state_from_ncnn
from dataprep.models.superres.running import Network, Run, enlarged, resolve_precision, runner
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


class Window(NamedTuple):
    """A tile of an image, [top, bottom) x [left, right), and where what the network sees of it begins."""

    image: int
    top: int
    bottom: int
    left: int
    right: int
    seen_top: int
    seen_left: int


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
        """What `auto` became: `float32`, `bfloat16` or `float16`."""
        return str(self.dtype).removeprefix("torch.")

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        return self.all_of([rgb])[0]

    def all_of(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Enlarge several images; on a GPU tiles of equal size go through the network together."""
        for rgb in images:
            if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or min(rgb.shape[:2]) < 1:
                raise ValueError(f"image of {rgb.dtype} {rgb.shape}, expected uint8 (H, W, 3)")
        if self.engine == "realesrgan":
            return [self._by_realesrgan(rgb) for rgb in images]
        return self._by_network(images)

    @property
    def gains_from_batches(self) -> bool:
        """Whether it is worth to have many images at hand: on a GPU."""
        return self.engine == "native" and self.device.type == "cuda"

    @cached_property
    def _network(self) -> Network:
        return load_network(self.model)

    @cached_property
    def _run(self) -> Run:
        return runner(self._network, self.device, self.dtype)

    def _by_network(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        if isinstance(self._network, SPAN):
            images = [without_ringing(rgb) for rgb in images]
        out = [np.empty((SCALE * len(rgb), SCALE * rgb.shape[1], 3), np.uint8) for rgb in images]
        alike: dict[tuple[int, ...], list[tuple[Window, Tensor]]] = {}
        for window in self._windows(images):
            seen = self._seen(images[window.image], window)
            alike.setdefault(tuple(seen.shape), []).append((window, seen))
        for group in alike.values():
            windows, seen_of_each = zip(*group, strict=True)
            results = enlarged(self._run, seen_of_each, self.device, self.dtype)
            for window, big in zip(windows, results, strict=True):
                _paste(out[window.image], window, big.permute(1, 2, 0).numpy())
        return out

    def _windows(self, images: Sequence[np.ndarray]) -> Iterator[Window]:
        pad = self.tile_pad_px
        for i, rgb in enumerate(images):
            for y0, y1 in _tiles(rgb.shape[0], self.tile_px):
                for x0, x1 in _tiles(rgb.shape[1], self.tile_px):
                    yield Window(i, y0, y1, x0, x1, max(y0 - pad, 0), max(x0 - pad, 0))

    def _seen(self, rgb: np.ndarray, window: Window) -> Tensor:
        pad = self.tile_pad_px
        part = rgb[window.seen_top : window.bottom + pad, window.seen_left : window.right + pad]
        return torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1)))

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


def _paste(image: np.ndarray, window: Window, big: np.ndarray) -> None:
    """Write the enlarged window without its padding."""
    rows, columns = (
        slice(SCALE * (first - seen), SCALE * (last - seen))
        for first, last, seen in (
            (window.top, window.bottom, window.seen_top),
            (window.left, window.right, window.seen_left),
        )
    )
    inside = big[rows, columns]
    image[SCALE * window.top : SCALE * window.bottom, SCALE * window.left : SCALE * window.right] = inside


def _tiles(side_px: int, tile_px: int) -> Iterator[tuple[int, int]]:
    """Cut [0, side) into equal parts of at most `tile_px`."""
    count = -(-side_px // tile_px)
    edges = [side_px * i // count for i in range(count + 1)]
    return itertools.pairwise(edges)
