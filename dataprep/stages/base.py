"""What a stage is: a frozen dataclass of parameters and one pure method over items.

A stage never writes and never knows about workers: it turns items (one image each, with what earlier stages
found) into results of the same length and order. The runner in `pipelines/` reads, writes and isolates failures.

    @dataclass(frozen=True)
    class Crop(Stage):
        name: ClassVar[str] = "crop"
        version: ClassVar[int] = 1
        requires: ClassVar[tuple[str, ...]] = ("ingest", "body")
        columns: ClassVar[tuple[Column, ...]] = (...)
        blobs: ClassVar[tuple[str, ...]] = ("crop.png",)

        padding: float = number(0.0, 0, 1, "rim of the portrait square; fraction of its side")

        def process_item(self, item: Item, tools: None) -> Result: ...

        @classmethod
        def found(cls, row: Mapping[str, Any]) -> list[str]: ...     # its lines of `shhq-hs show`

Declaration and work. Whoever plans, lists or reports imports every stage, so a stage's module imports no network and no
package that takes long to load (torch above all): what does the work is imported by `load`, in the process that does
it, and comes to `process` as `tools`. Types of tools are imported under TYPE_CHECKING. The digests of
`tools/code_digests.py` follow both kinds of import; `tests/pipelines/test_lean.py` holds the rule.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from dataprep.errors import Rejected
from dataprep.settings import Setting, require_bounds, settings_of
from dataprep.tables.columns import Column
from dataprep.tables.items import Item, Result

__all__ = ["DEVICE", "EVERY_STAGE", "Item", "Result", "Stage", "Step", "Weight", "degrees", "gpu_wish"]

EVERY_STAGE = ("every map stage",)
DEVICE = "where {} runs: `auto` (a GPU where there is one), `cpu` or `cuda`"  # meaning of a stage's `device`


@dataclass(frozen=True)
class Weight:
    """A model file behind a stage: named in the manifest, hashed into the fingerprint."""

    name: str
    sha256: str
    licence: str  # licence class: "apache-2.0", "cc0", "bsd-3-clause", "research-only", ...


def gpu_wish(device: str) -> dict[str, float]:
    """Worker resources of a stage that runs a network on `device`: one GPU, unless the user wants the CPU.

    Where no worker offers a GPU the wish is dropped, and `auto` means the CPU.
    """
    return {} if device == "cpu" else {"GPU": 1.0}


def degrees(*angles_rad: float) -> str:
    """Angles as `found` tells them."""
    return " ".join(f"{math.degrees(angle):+.1f}" for angle in angles_rad)


def _shown(value: Any) -> str:
    if isinstance(value, bytes):
        return value.hex()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Step:
    """What map stages and aggregates share: a node of the DAG. `requires` names the steps whose output it reads.

    An aggregate that reads all map stages says EVERY_STAGE; `pipelines.engine.dag` knows which they are.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    requires: ClassVar[tuple[str, ...]] = ()
    columns: ClassVar[tuple[Column, ...]] = ()

    def __post_init__(self) -> None:
        """Raise ConfigError for a parameter that is out of bounds or none of its choices."""
        require_bounds(self, f"{self.name}.")

    def settings(self) -> Iterator[Setting]:
        """The parameters with their values, each as `stage.parameter`."""
        return settings_of(self, f"{self.name}.")

    def own_files(self) -> tuple[tuple[str, str], ...]:
        """The user's own model files that this step wants: the setting that names each, and what it says."""
        return ()

    def weights(self) -> tuple[Weight, ...]:
        """The model files this step uses; their hashes are part of the fingerprint."""
        return ()


@dataclass(frozen=True)
class Stage(Step):
    """Base of the map stages. Subclasses set the class variables and override `process_item` (or `process`)."""

    blobs: ClassVar[tuple[str, ...]] = ()
    judges: ClassVar[bool] = False  # rejects rows whose labels are complete; a reviewer's acceptance overrides it
    timeout_s: ClassVar[float] = 300.0  # processor seconds that one image may take (`run --time-limit` changes it)

    def batched(self, tools: Any) -> bool:
        """Whether `process` gains from many items at once; if not, it is called with one at a time.

        `tools` know the machine: many photographs are worth having at hand where a GPU takes them together.
        """
        return False

    def resources(self) -> Mapping[str, float]:
        """Worker resources one task asks for, for example {"GPU": 1}, where the cluster offers them."""
        return {}

    def load(self) -> Any:
        """Import and build what `process` needs (models, graphs); called once a process and passed as `tools`."""
        return None

    def releases(self, column: Column) -> bool:
        """Whether the manifest has this column of the stage."""
        return column.released

    @classmethod
    def found(cls, row: Mapping[str, Any]) -> list[str]:
        """Lines of `shhq-hs show` about a row whose first column is filled.

        Here they list what is released and no array; a stage says it shorter.
        """
        told = [column for column in cls.columns if column.released and not column.shape]
        return [
            f"{one.name} {_shown(row[one.name])} {one.unit}".removesuffix(" -")
            for one in told
            if row[one.name] is not None
        ]

    def process(self, items: Sequence[Item], tools: Any) -> list[Result]:
        """One result per item, same order. A raised exception makes the runner retry item by item."""
        return [self.guarded(item, tools) for item in items]

    def guarded(self, item: Item, tools: Any) -> Result:
        """`process_item` with `Rejected` turned into a result."""
        try:
            return self.process_item(item, tools)
        except Rejected as rejected:
            return Result.rejected(rejected.reason, rejected.message)

    def process_item(self, item: Item, tools: Any) -> Result:
        raise NotImplementedError(f"stage {self.name} overrides neither process nor process_item")
