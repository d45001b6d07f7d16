"""The dask.distributed executor: local worker processes, or those of a running scheduler.

What a cluster may lose, and what that costs:
- a worker: the part in its hands is tried again elsewhere (`WorkerDied`, see engine/isolation.py), and parts that
  were waiting for it are handed out again as they are;
- the scheduler, or the way to it: when it is back, everything unfinished is handed out again;
- all workers, or all that offer a resource which waiting parts need: after `no_worker_s` the run ends in ClusterLost.
Workers may come at any time; those that cannot take part (`pipelines/executors/worker_check.py`) are turned away.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from distributed import Client, WorkerPlugin, as_completed, get_worker
from distributed.scheduler import KilledWorker

from dataprep.errors import ClusterLost, ConfigError
from dataprep.files.filenames import printable
from dataprep.files.locations import Location
from dataprep.stages.base import Step
from pipelines.executors import worker_check
from pipelines.executors.base import Executor, Listener, Work, WorkerDied, capacity_of
from pipelines.executors.dask_security import require_keys
from pipelines.executors.dask_workers import configure_dask, local_cluster, scheduler_address
from pipelines.executors.worker_check import Refused, Request
from pipelines.executors.worker_process import log_to, prepare_worker
from pipelines.machine.resources import WORKER_BYTES

_FAREWELL_S = 0.2
NO_WORKER_S = 300.0  # a cluster that has no worker for so long is given up
_LOOK_S = 15.0
_TOPIC = "shhq-hs"  # of what workers say: {"in_hand": key} as a task begins, {"too_long": [stage, sample id]}
_CONNECT_S = 10.0


class DaskExecutor(Executor):
    """Tasks go to worker processes of one thread each; a task that wishes for a GPU goes where one is offered."""

    def __init__(
        self,
        address: str,
        workers: int,
        worker_bytes: int | None = None,
        gpus: int | None = None,
        no_worker_s: float = NO_WORKER_S,
        dashboard: bool = False,
    ) -> None:
        """`address`: local, tls://host:port, tcp://host:port or file:PATH.

        `workers`, `worker_bytes`, `gpus` and `dashboard` are those of a local cluster (`dask_workers.local_cluster`).
        """
        configure_dask()
        self._address, self._no_worker_s = address, no_worker_s
        is_local = address == "local"
        self._cluster: Any = local_cluster(workers, worker_bytes, gpus, dashboard) if is_local else None
        self._request: Request | None = None
        self._work: dict[Any, Work] = {}  # by the key of its future
        self._turned_away: Counter[str] = Counter()
        self._given_up = ""  # why, in words
        self._kept_to: dict[Any, frozenset[str]] = {}  # by the key of a future: the only workers that may do it
        self._moving: set[Any] = set()  # keys of futures whose workers are all gone
        self._in_hand: dict[str, str] = {}  # by the worker's address: the task that it began last
        self._handed_out = 0
        self._listener: Listener | None = None
        self._dask_log: logging.Handler | None = None
        self._connect()
        self.workers = max(1, self._threads)
        self.offered = set(self._resources)
        self._closed = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def pending(self) -> int:
        return len(self._work)

    @property
    def capacity(self) -> int:
        return capacity_of(self._threads)

    @property
    def dashboard(self) -> str:
        """Where dask's page of the workers at work is served, or how to get one, as a line for people."""
        if self._client.run_on_scheduler(worker_check.serves_pages):
            return f"dashboard: {self._client.dashboard_link}"
        return "no dashboard; to have one: pip install 'bokeh>=3.1' beside the scheduler, and start it again"

    def require_ready(self, source: Location, out: Location, steps: Sequence[Step]) -> None:
        """Look at every worker of a foreign cluster; raises ConfigError naming those that cannot take part."""
        if self._cluster is not None:
            return
        self._request = worker_check.make_request(source, out, steps)
        try:
            self._register()
            dashboard = self._require_scheduler()
            answers = self._client.run(worker_check.examine, self._request, on_error="return")
        except (OSError, RuntimeError, CancelledError) as error:
            raise ClusterLost(f"the scheduler at {self._address} went away while workers were looked at") from error
        workers = defaultdict(list)
        for worker, answer in answers.items():
            for why in [answer] if isinstance(answer, BaseException) else answer:
                text = f"it does not run this version of shhq-hs ({why!r}); install it there and start the worker again"
                workers[text if isinstance(why, BaseException) else str(why)].append(worker)
        if workers:
            raise ConfigError("\n".join(f"worker {_some(those)} cannot take part: {why}"
                                        for why, those in workers.items()))  # fmt: skip
        hint = "" if answers else f"; none yet, on a machine of the cluster: shhq-hs worker {self._address}"
        print(f"cluster {self._address}: {len(answers)} workers{hint}", file=sys.stderr)
        if not scheduler_address(self._address).startswith("tls://"):
            print("this scheduler is open: whoever reaches its port runs code as the workers' user and reads every "
                  "task; docs/clusters.md shows tls://", file=sys.stderr)  # fmt: skip
        print(dashboard, file=sys.stderr)

    def _require_scheduler(self) -> str:
        """The scheduler reads every task on its way, so it needs this package; returns the line of `dashboard`."""
        try:
            return self.dashboard
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"the scheduler at {self._address} has not this version of shhq-hs ({error}); install it "
                              "there too, and start it in that environment: dask scheduler") from error  # fmt: skip

    def submit(self, work: Work) -> None:
        """A resource that no worker offered at the start is not asked for: `device=auto` then means the CPU."""
        wanted = {name: amount for name, amount in work.resources.items() if name in self.offered}
        self._hand_out_or_wait(replace(work, resources=wanted))

    def completed(self) -> Iterator[tuple[Any, Any]]:
        while True:
            future = next(self._finished)
            if future.key in self._moving:
                self._moving.discard(future.key)
                self._hand_out_or_wait(self._work.pop(future.key))
                continue
            outcome = _outcome(future)
            if future.status in ("cancelled", "lost"):
                if self._given_up:
                    raise ClusterLost(f"{self._given_up}; finished parts are whole")
                self._connect_again()
                continue
            work = self._work.pop(future.key)
            future.release()
            if isinstance(outcome, KilledWorker) and self._was_waiting(outcome, future.key):
                self._hand_out_or_wait(work)
                continue
            if not isinstance(outcome, Refused):
                yield work.task, WorkerDied(str(outcome)) if isinstance(outcome, KilledWorker) else outcome
                return
            self._turn_away(outcome)
            self._hand_out_or_wait(work)

    def listen(self, listener: Listener) -> None:
        told, self._listener = self._listener, listener
        if told is None or told.log != listener.log:
            self._close_log()
            self._dask_log = log_to(listener.log)
            self._register()

    def _hear(self, event: tuple[float, Any]) -> None:
        """Called in the client's own thread, before it hears that a task of this worker ended."""
        said = event[1]
        if "in_hand" in said:
            self._in_hand[said["worker"]] = said["in_hand"]
        elif self._listener:
            self._listener.too_long(*said["too_long"])

    def _was_waiting(self, died: KilledWorker, key: str) -> bool:
        """Whether the task only waited for the worker that died with another one in its hands."""
        return self._in_hand.get(died.last_worker.address, key) != key

    def close(self) -> None:
        self._closed.set()
        if self._cluster is None and self._client.status == "running":
            with suppress(OSError, RuntimeError, CancelledError):  # or the next user's workers would be prepared so
                self._client.unregister_worker_plugin(_PrepareWorker.name)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()
        self._close_log()

    def _close_log(self) -> None:
        if self._dask_log:
            logging.getLogger("distributed").removeHandler(self._dask_log)
            self._dask_log.close()

    def _connect(self) -> None:
        timeout_s = min(_CONNECT_S, self._no_worker_s)
        self._client = Client(self._cluster) if self._cluster is not None else _client_of(self._address, timeout_s)
        self._finished = as_completed(loop=self._client.loop)
        self._client.subscribe_topic(_TOPIC, self._hear)
        self._register()
        self._count()

    def _register(self) -> None:
        self._client.register_plugin(_PrepareWorker(self._request, self._listener.log if self._listener else None))

    def _count(self) -> None:
        known = self._client.scheduler_info().get("workers")
        if known is None:
            raise OSError("the scheduler does not answer")
        self._threads = sum(worker["nthreads"] for worker in known.values())
        self._offers = {address: frozenset(worker["resources"]) for address, worker in known.items()}
        self._resources = {name for worker in known.values() for name in worker["resources"]}

    def _hand_out(self, work: Work) -> None:
        token = self._request.token if self._request else ""
        self._handed_out += 1
        key = f"{work.key}-{self._handed_out}"  # dask remembers how the same key ended before
        resources = dict(work.resources) or None
        plain = [address for address, offers in self._offers.items() if not offers.intersection(work.spare)]
        # Not merely wished for: dask would let idle workers steal what they are to be spared from.
        workers = plain if plain and work.spare and not resources else None
        future = self._client.submit(_run_checked, token, key, work.function, work.task, key=key, pure=False, retries=0,
                                     resources=resources, workers=workers)  # fmt: skip
        self._work[future.key], self._kept_to[future.key] = work, frozenset(workers or ())
        self._finished.add(future)

    def _hand_out_or_wait(self, work: Work) -> None:
        try:
            self._hand_out(work)
        except (OSError, RuntimeError, CancelledError):  # the client is about to notice that its scheduler is gone
            self._work[work.key] = work
            self._connect_again()

    def _connect_again(self) -> None:
        """Wait for the scheduler, then hand out all that is unfinished; raises ClusterLost when it stays away."""
        if self._cluster is not None:
            raise ClusterLost("the local dask scheduler is gone; finished parts are whole")
        print(f"\nthe scheduler at {self._address} is gone; waiting for it", file=sys.stderr)
        waiting, self._work = list(self._work.values()), {}
        with suppress(OSError, RuntimeError, CancelledError, TimeoutError):
            self._client.close(timeout=1)
        deadline_s = time.monotonic() + self._no_worker_s
        while True:
            try:
                self._connect()
                break
            except (ConfigError, OSError, RuntimeError, CancelledError) as error:
                if time.monotonic() > deadline_s:
                    raise ClusterLost(f"the scheduler at {self._address} is gone, and has not come back for "
                                      f"{self._no_worker_s:.0f} s; finished parts are whole") from error  # fmt: skip
                time.sleep(min(1.0, self._no_worker_s / 3))
        print("the scheduler is back", file=sys.stderr)
        self._work = {work.key: work for work in waiting}
        for work in waiting:
            if self._work.pop(work.key, None):  # else it went away again, and all were handed out since
                self._hand_out_or_wait(work)

    def _turn_away(self, refused: Refused) -> None:
        """Say why once, and let the worker end."""
        if not self._turned_away[refused.worker]:
            print(f"\nworker {refused.worker} is turned away: {printable(refused.why)}", file=sys.stderr)
        self._turned_away[refused.worker] += 1
        self._client.retire_workers([refused.worker], close_workers=True, remove=True)

    def _watch(self) -> None:
        """Cancel what waits when what it waits for has long been away: `completed` then says so."""
        look_s = min(_LOOK_S, self._no_worker_s / 3)
        alone_s: Counter[str] = Counter()
        while not self._closed.wait(look_s):
            try:
                self._count()
            except (OSError, CancelledError, ValueError, RuntimeError, AttributeError):
                continue  # closing, or the scheduler is gone: `completed` sees to it
            self._move()
            needed = {name for work in list(self._work.values()) for name in work.resources}
            missing = needed - self._resources if self._threads else {""}
            alone_s = Counter({name: alone_s[name] + look_s for name in missing})
            long = [name for name, seconds in alone_s.items() if seconds >= self._no_worker_s]
            if long and self._work:
                self._given_up = self._given_up or _farewell(long[0], self._no_worker_s, self._address)
                self._client.cancel(list(self._finished.futures), force=True)

    def _move(self) -> None:
        """Take back what is kept to workers that are gone: `completed` hands it out again."""
        self._kept_to = {key: workers for key, workers in self._kept_to.items() if key in self._work}
        lost = {key for key, workers in self._kept_to.items() if workers and not workers & self._offers.keys()}
        futures = [future for future in list(self._finished.futures) if future.key in lost - self._moving]
        self._moving |= {future.key for future in futures}
        if futures:
            self._client.cancel(futures, force=True)


def _farewell(resource: str, seconds: float, address: str) -> str:
    if not resource:
        return f"all workers are gone, and none has come for {seconds:.0f} s"
    return (
        f"no worker has offered a {resource} for {seconds:.0f} s, and parts wait for one: start such a worker again "
        f"(on a machine with a {resource}: shhq-hs worker {address}); without one, the command below uses CPUs"
    )


def _some(workers: list[str]) -> str:
    """A few names, and how many more."""
    return ", ".join(workers[:3]) + (f" and {len(workers) - 3} more" if len(workers) > 3 else "")


def _outcome(future: Any) -> Any:
    try:
        error = future.exception()
        return future.result() if error is None else error
    except (CancelledError, OSError, TimeoutError) as lost:
        return lost


def _client_of(address: str, timeout_s: float) -> Client:
    """A client of the scheduler at tls://host:port, tcp://host:port or in the file of file:PATH; raises ConfigError."""
    place = scheduler_address(address)
    require_keys(place, "client", f"--cluster {address}")
    try:
        return Client(place, timeout=timeout_s)
    except (OSError, TimeoutError, ValueError) as error:
        keys = " that takes these keys" if place.startswith("tls://") else ""
        raise ConfigError(f"--cluster {address}: no dask scheduler{keys} answers there ({error}); start one with: "
                          "dask scheduler --scheduler-file scheduler.json") from error  # fmt: skip


class _PrepareWorker(WorkerPlugin):
    """Runs `prepare_worker` in every worker process, also in those that come late or replace a dead one."""

    name = "shhq-hs"

    def __init__(self, request: Request | None, log: Path | None) -> None:
        self._request, self._log = request, log

    def setup(self, worker: Any) -> None:
        limit_bytes = worker.memory_manager.memory_limit
        if limit_bytes:
            os.environ.setdefault(WORKER_BYTES, str(limit_bytes))

        def tell(stage: str, sample_id: str) -> None:
            """Say so and end; runs in the worker's main thread, whose loop then has a moment to send it."""
            worker.log_event(_TOPIC, {"too_long": [stage, sample_id]})
            worker.loop.add_callback(worker.loop.call_later, _FAREWELL_S, os._exit, 1)

        prepare_worker(self._log, tell)
        if self._request is not None:
            worker_check.accept(self._request)


def _run_checked(token: str, key: str, function: Callable[[Any], Any], task: Any) -> Any:
    """`function(task)`, unless this worker cannot take part in the run of that token; then raises Refused."""
    worker = get_worker()
    worker.log_event(_TOPIC, {"in_hand": key, "worker": worker.address})
    if token and (problems := worker_check.verdict(token)):
        raise Refused(worker.address, str(problems[0]))
    return function(task)
