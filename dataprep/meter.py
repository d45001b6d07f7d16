"""Who hears how far a long piece of work is."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable  # the tests check types as the program runs
class Meter(Protocol):
    """Hears of every piece of work done; `pipelines.engine.progress.Progress` is one."""

    def advance(self, stage: str, rows: int, seconds: float) -> None: ...

    def close(self) -> None: ...
