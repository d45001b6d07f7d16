"""`shhq-hs run` and `shhq-hs plan`: from options to a build, or to what it would do."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.locations import Location
from dataprep.tables.store import Store
from pipelines import config_file, paper_stages
from pipelines.commands.new_folder import require_folder
from pipelines.commands.show_plan import print_plan, print_plan_json
from pipelines.commands.summary import after_run
from pipelines.engine.dag import Dag
from pipelines.engine.estimate import estimate
from pipelines.engine.index import preview
from pipelines.engine.plan import make_plan
from pipelines.engine.resume import command_line, hint, print_stopped
from pipelines.engine.run import run
from pipelines.executors.chosen_executor import make_executor, worker_count

_LONGEST_LIMIT_S = 1e6  # timers of the system hold no more than some years


def build(options: argparse.Namespace) -> int:
    """Build a data set or bring it up to date; returns the exit status."""
    _require_limits(options.max_error_fraction, options.time_limit)
    whole = paper_stages.build(options.set)
    dag = _until(whole, options.until)
    source, out = _places(options)
    config = config_file.as_toml(options.resolved, (one for step in whole.steps for one in step.settings()))
    command = command_line(options.arguments)
    with hint(command), make_executor(options.cluster, options.workers, options.dashboard) as executor:
        settings = (options.max_error_fraction, command, options.time_limit, options.follow_links, config)
        outcome = run(source, out, dag, executor, *settings)
    if outcome.stopped:
        return print_stopped(options.out, outcome.stopped, outcome.interrupted, command)
    return after_run(options.out, dag, outcome)


def plan(options: argparse.Namespace) -> int:
    """Print what would run, why, and what it takes; returns 0."""
    dag = _until(paper_stages.build(options.set), options.until)
    source, out = _places(options)
    store, workers = Store(out), 1 if options.cluster == "serial" else worker_count(options.workers)
    found = make_plan(store, dag, preview(source, out, options.follow_links))
    show = print_plan_json if options.json else print_plan
    show(found, estimate(store, dag, found), workers, out)
    return 0


def _require_limits(max_error_fraction: float, time_limit_s: float | None) -> None:
    if not 0 <= max_error_fraction <= 1:
        raise ConfigError(f"--max-error-fraction {max_error_fraction}: expected a number from 0 to 1")
    if time_limit_s is not None and not 0 < time_limit_s <= _LONGEST_LIMIT_S:
        raise ConfigError(f"--time-limit {time_limit_s:g}: expected seconds above 0, at most {_LONGEST_LIMIT_S:g}")


def _places(options: argparse.Namespace) -> tuple[Location, Location]:
    """SOURCE and OUT as absolute paths (workers may start elsewhere), checked before anything starts."""
    source, out = options.source.resolve(), options.out.resolve()
    if isinstance(source, Path) and not source.is_dir():
        raise ConfigError(f"SOURCE {str(options.source)!r} is not a folder; give the folder that holds the photographs")
    if isinstance(out, Path):
        require_folder(out)
    if out == source:
        raise ConfigError(f"--out {str(options.out)!r} is the folder of the photographs; give another one")
    return source, out


def _until(dag: Dag, stage: str | None) -> Dag:
    return dag.until(paper_stages.STAGE_NAMES[paper_stages.stage_index(stage)]) if stage else dag
