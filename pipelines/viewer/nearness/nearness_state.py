"""What find-similar keeps of a data set while the viewer runs: vectors, people, maps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pipelines.viewer.nearness.alike_people import AlikePeople, people_of
from pipelines.viewer.nearness.feature_rows import LIKENESS, FeatureRows, likeness_rows
from pipelines.viewer.nearness.map_job import MapMaker
from pipelines.viewer.viewed_dataset import ViewedDataset

T = TypeVar("T")
_lock = threading.Lock()
_known: WeakKeyDictionary[ViewedDataset, Nearness] = WeakKeyDictionary()


class Nearness:
    """Threads may share one; what it finds is found once."""

    def __init__(self, dataset: ViewedDataset) -> None:
        self._census = dataset.census
        self.maps = MapMaker(dataset.out, dataset.census, dataset.fingerprints)
        self._lock = threading.Lock()
        self._kept: dict[str, Any] = {}

    def features(self, kind: str) -> FeatureRows | None:
        """Vectors of a kind; None where they are made with a map that is not there yet."""
        if kind == LIKENESS:
            return self._once("features", lambda: likeness_rows(self._census))
        return self.maps.features(kind)

    def people(self) -> AlikePeople:
        """People by the manifest, and pairs of them."""
        return self._once("people", lambda: people_of(self._census))

    def _once(self, name: str, make: Callable[[], T]) -> T:
        with self._lock:
            if name not in self._kept:
                self._kept[name] = make()
            return self._kept[name]


def nearness(dataset: ViewedDataset) -> Nearness:
    """The one of a data set, for as long as the data set lives."""
    with _lock:
        if dataset not in _known:
            _known[dataset] = Nearness(dataset)
        return _known[dataset]
