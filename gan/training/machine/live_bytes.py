"""How much memory a step takes, counted without running it: torch's meta device has shapes and no numbers."""

import weakref
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """While entered, counts the bytes of what torch makes and drops, on any device.

    `now` and `peak` are of tensors alive at the same time, `largest` is the largest of them. What was there before does
    not count, nor what a kernel uses inside itself.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.largest = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and id(leaf) not in given and not leaf._is_view():
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak, self.largest = max(self.peak, self.now), max(self.largest, size)
        weakref.finalize(storage, self._drop, size)

    def _drop(self, size: int) -> None:
        self.now -= size


class SavedBytes(saved_tensors_hooks):
    """While entered, counts the bytes that graphs keep for their backward pass, every storage once."""

    def __init__(self) -> None:
        self.bytes = 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        super().__init__(self._keep, lambda kept: kept)

    def __enter__(self) -> "SavedBytes":  # type: ignore[override]
        super().__enter__()
        return self

    def _keep(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage not in self._known and not isinstance(tensor, torch.nn.Parameter):
            self._known.add(storage)
            self.bytes += storage.nbytes()
        return tensor
