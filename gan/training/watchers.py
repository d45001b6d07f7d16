"""Who hears of a run as it goes, and may end it."""

from collections.abc import Mapping, Sequence

from gan.training.execution import Execution
from gan.training.setup import Preparing, Run


class Watcher:
    """What a caller wants to know and to say during a run; this one neither listens nor talks."""

    def prepares(self, what: Preparing, done: int, whole: int) -> None:
        """So much of what comes before the first step is done."""

    def begins(self, run: Run) -> None:
        """The run stands where it begins or goes on."""

    def computes(self, execution: Execution) -> None:
        """So many pictures are in memory at a time, and so they are computed."""

    def did_step(self, images_seen: int, losses: dict[str, float]) -> None:
        """A step was done; an exception from here ends the run as a crash would."""

    def did_measure(self, images_seen: int, metrics: dict[str, float]) -> None:
        """A checkpoint was measured."""

    def did_snapshots(self, images_seen: int, pngs: Mapping[str, bytes]) -> None:
        """Snapshots were taken, by name."""

    def stops(self) -> bool:
        """Whether to end after this step, with a checkpoint."""
        return False


class Watchers(Watcher):
    """Several of them, in order; the run ends when one says so."""

    def __init__(self, watchers: Sequence[Watcher]) -> None:
        self._all = watchers

    def prepares(self, what: Preparing, done: int, whole: int) -> None:
        for one in self._all:
            one.prepares(what, done, whole)

    def begins(self, run: Run) -> None:
        for one in self._all:
            one.begins(run)

    def computes(self, execution: Execution) -> None:
        for one in self._all:
            one.computes(execution)

    def did_step(self, images_seen: int, losses: dict[str, float]) -> None:
        for one in self._all:
            one.did_step(images_seen, losses)

    def did_measure(self, images_seen: int, metrics: dict[str, float]) -> None:
        for one in self._all:
            one.did_measure(images_seen, metrics)

    def did_snapshots(self, images_seen: int, pngs: Mapping[str, bytes]) -> None:
        for one in self._all:
            one.did_snapshots(images_seen, pngs)

    def stops(self) -> bool:
        return any(one.stops() for one in self._all)
