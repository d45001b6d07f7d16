"""Steps of both stages on torch's meta device, which cannot say a number: nothing waits for one."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gan.presets import Preset
from gan.training.execution import Execution
from gan.training.machine.step_bytes import blank, on_meta
from gan.training.setup import open_run
from gan.training.steps import asked
from tests.gan.train.runs import READS_FACES, TWO, shipped_models

AT_HITS = dataclasses.replace(READS_FACES, shades_at_hits=True, shared_fakes=True)
ASKS = ("_local_scalar_dense", "nonzero", "masked_select", "_linalg_check_errors", "is_nonzero", "equal", "unique")


class Waits(TorchDispatchMode):
    """Notes every operation that would make the program wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if name.startswith(ASKS) and any(leaf.is_meta for leaf in tensors):
            self.found.append(name)
        devices = {leaf.device.type for leaf in [*tensors, result] if isinstance(leaf, torch.Tensor) and leaf.ndim}
        if name in ("_to_copy", "copy_") and len(devices) > 1 and not _at_once(args, kwargs):
            self.found.append(f"{name} {[(tuple(leaf.shape), leaf.device.type) for leaf in tensors]}")
        return result


def _at_once(args: Any, kwargs: Any) -> bool:
    return bool((kwargs or {}).get("non_blocking")) or True in args[2:]


class Uploads(TorchFunctionMode):
    """Notes every tensor that is made there of numbers from here."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        name = getattr(func, "__name__", "")
        if name in ("tensor", "new_tensor", "as_tensor") and isinstance(result, torch.Tensor) and result.is_meta:
            self.found.append(f"{name} {args[-1]}")
        return result


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("preset", [READS_FACES, AT_HITS, TWO], ids=["maps", "hits", "stage2"])
def test_a_step_waits_for_nothing(data: Path, whole: Path, tmp_path: Path, preset: Preset, recompute: bool) -> None:
    begun_from = whole if preset.stage == 2 else None
    run = open_run([data], preset, tmp_path, shipped_models(True), 0, begun_from, Execution())
    execution = Execution("meta", micro=2, recompute=recompute)
    state, sources = on_meta(run.state, run.sources, execution)
    for _ in range(2):  # what is carried over once is there the second time
        batch = blank(preset, state.images_seen, 2)
        with Waits() as waits, Uploads() as uploads:
            asked(state, sources, iter([batch]), execution)
    assert waits.found == []
    assert uploads.found == []


def test_what_waits_is_noticed() -> None:
    with Waits() as waits, Uploads() as uploads:
        torch.linalg.inv(torch.eye(3, device="meta"))
        torch.eye(3).to("meta")
        torch.eye(3).to("meta", non_blocking=True)
        torch.empty(2, device="meta").new_tensor([1.0, 2.0])
    assert len(waits.found) == 2
    assert len(uploads.found) == 1
