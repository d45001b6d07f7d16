"""Import basicsr 1.4.2 and realesrgan 0.3.0 beside a current torch and torchvision.

basicsr imports `torchvision.transforms.functional_tensor`, gone since torchvision 0.17, and torchvision itself cannot
be imported beside a torch of another build ("operator torchvision::nms does not exist"). ESRGAN needs none of it, so
inside the context manager a stand-in torchvision answers those imports and leaves `sys.modules` again at the end.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NoReturn

from dataprep.errors import AssetError
from dataprep.extras import install_command

_ALIAS = "torchvision.transforms.functional_tensor"
_LUMA_RGB = (0.2989, 0.587, 0.114)  # torchvision's weights of grey


def real_esrganer() -> type:
    """The class `realesrgan.RealESRGANer`; raises AssetError with the install command when it cannot be imported."""
    with compat_imports():
        return _import("realesrgan.utils").RealESRGANer


def basicsr_network(name: str) -> type:
    """`RRDBNet` of basicsr or `SRVGGNetCompact` of realesrgan."""
    module = {"RRDBNet": "basicsr.archs.rrdbnet_arch", "SRVGGNetCompact": "realesrgan.archs.srvgg_arch"}[name]
    with compat_imports():
        return getattr(_import(module), name)


@contextmanager
def compat_imports() -> Iterator[None]:
    """Make `import basicsr` and `import realesrgan` work inside; `sys.modules` keeps no stand-in afterwards."""
    usable = _torchvision_works()
    if not usable:
        _forget_torchvision()
        _install_stand_in()
    alias = usable and importlib.util.find_spec(_ALIAS) is None
    if alias:
        sys.modules[_ALIAS] = sys.modules["torchvision.transforms.functional"]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # basicsr's own: old SciPy and torchvision names
            yield
    finally:
        if not usable:
            _forget_torchvision()
        elif alias:
            sys.modules.pop(_ALIAS, None)


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        command = install_command("realesrgan")
        raise AssetError(f"superres.engine=realesrgan cannot import {name} ({error}); run: {command}") from error


def _torchvision_works() -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            importlib.import_module("torchvision.transforms.functional")
    except (ImportError, RuntimeError, OSError, AttributeError):
        return False
    return True


def _forget_torchvision() -> None:
    """Drop every torchvision module: a failed import leaves halves of it behind."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]


def _install_stand_in() -> None:
    module = _add_module
    module("torchvision", __version__="0.16.2")
    module("torchvision.ops", deform_conv2d=_unavailable("deform_conv2d"))
    module("torchvision.utils", make_grid=_unavailable("make_grid"))
    module("torchvision.models")
    module("torchvision.models.vgg")
    module("torchvision.transforms")
    tools: dict[str, Any] = {"normalize": _unavailable("normalize"), "rgb_to_grayscale": _rgb_to_grayscale}
    module("torchvision.transforms.functional", **tools)
    module(_ALIAS, **tools)


def _add_module(name: str, **members: Any) -> None:
    stand_in = ModuleType(name, "Stand-in for torchvision while basicsr is imported.")
    stand_in.__path__ = []  # a package, so that its submodules can be looked up
    stand_in.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)
    stand_in.__dict__.update(members)
    sys.modules[name] = stand_in
    parent, _, leaf = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], leaf, stand_in)


def _unavailable(name: str) -> Callable[..., NoReturn]:
    def refuse(*args: Any, **kwargs: Any) -> NoReturn:
        raise RuntimeError(f"torchvision's {name} is not available: torchvision cannot be imported beside this torch")

    return refuse


def _rgb_to_grayscale(image: Any, num_output_channels: int = 1) -> Any:
    """(..., 3, H, W) -> (..., num_output_channels, H, W) by the BT.601 weights torchvision uses."""
    red, green, blue = image.unbind(-3)
    grey = (_LUMA_RGB[0] * red + _LUMA_RGB[1] * green + _LUMA_RGB[2] * blue).unsqueeze(-3)
    return grey.expand(*grey.shape[:-3], num_output_channels, *grey.shape[-2:]).to(image.dtype)
