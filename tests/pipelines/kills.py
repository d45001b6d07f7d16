"""Random SIGKILLs: of the driver, of a worker, of both, then the same command, until it ends by itself."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dataprep.stages.base import Item, Result
from dataprep.stages.ingest import Ingest
from pipelines.engine.dag import Dag, assemble
from tests.pipelines.toy import Brightness, Inverted, Listing

ROOT = Path(__file__).parents[2]
VICTIMS = ("driver", "worker", "both", "group")


@dataclass(frozen=True)
class Slow(Brightness):
    """Slow enough to be hit."""

    def process_item(self, item: Item, tools: None) -> Result:
        time.sleep(0.02)
        return super().process_item(item, tools)


def slow_dag() -> Dag:
    return assemble((Ingest(min_side_px=16), Slow(), Inverted()), (Listing(),))


@dataclass(frozen=True)
class Kill:
    """Kill `victim` once `files` more parts are there and `delay_s` has passed."""

    victim: str
    files: int
    delay_s: float


def kill_until_done(
    command: Sequence[str], count_files: Callable[[], int], plans: Sequence[Kill], timeout_s: float
) -> list[str]:
    """Run `command` again and again, one kill after the other; returns what was hit. Then let it end by itself.

    A worker's death must not end its driver: the next kill strikes the same one.
    """
    hit, pending = [], list(plans)
    deadline = time.monotonic() + timeout_s
    while True:
        process = subprocess.Popen(
            command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            while process.poll() is None and pending:
                if _strike(process, count_files, pending[0]):
                    hit.append(pending.pop(0).victim)
            process.wait(timeout=max(1.0, deadline - time.monotonic()))
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        if process.returncode == 0 or time.monotonic() > deadline:
            return hit


def _strike(process: subprocess.Popen[bytes], count_files: Callable[[], int], kill: Kill) -> bool:
    """Whether the kill happened; False when the run ended before."""
    wanted = count_files() + kill.files
    while process.poll() is None and count_files() < wanted:
        time.sleep(0.003)
    time.sleep(kill.delay_s)
    if process.poll() is not None:
        return False
    if kill.victim == "group":
        os.killpg(process.pid, signal.SIGKILL)
        return True
    workers = _workers(process.pid)
    if kill.victim != "driver" and not workers:
        return False
    with suppress(ProcessLookupError):
        if kill.victim != "driver":
            os.kill(random.choice(workers), signal.SIGKILL)
        if kill.victim != "worker":
            os.kill(process.pid, signal.SIGKILL)
    return True


def _workers(driver: int) -> list[int]:
    """Processes of the driver's group that compute (not multiprocessing's resource tracker)."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            group = int((folder / "stat").read_text().rpartition(")")[2].split()[2])
            if group == driver and int(folder.name) != driver and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def plan_kills(count: int, seed: int, most_files: int) -> list[Kill]:
    """`count` kills of every kind, in random order and at random moments."""
    rng = random.Random(seed)
    victims = [VICTIMS[i % len(VICTIMS)] for i in range(count)]
    rng.shuffle(victims)
    return [Kill(victim, rng.randrange(most_files + 1), rng.uniform(0.0, 0.05)) for victim in victims]
