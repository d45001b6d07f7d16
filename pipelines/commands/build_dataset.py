"""`shhq-hs run` and `shhq-hs plan`: from options to a build, or to what it would do."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.locations import Location, ObjectPath
from dataprep.inputs.gathering import LIST_SUFFIXES, Gathering
from dataprep.tables.layouts import VIDEO_SUFFIXES, is_tar, is_video
from dataprep.tables.store import Store
from pipelines import config_file, paper_stages
from pipelines.commands.new_folder import require_folder
from pipelines.commands.show_plan import print_plan, print_plan_json
from pipelines.commands.summary import after_run
from pipelines.engine.cost.estimate import estimate
from pipelines.engine.dag import Dag
from pipelines.engine.gather import Gatherer
from pipelines.engine.index import preview
from pipelines.engine.plan import make_plan
from pipelines.engine.resume import command_line, hint, print_stopped
from pipelines.engine.run import RunSummary, run
from pipelines.executors.chosen_executor import make_executor, worker_count

_LONGEST_LIMIT_S = 1e6  # timers of the system hold no more than some years


def build(options: argparse.Namespace) -> int:
    """Build a data set or bring it up to date; returns the exit status."""
    dag, outcome = bring_up_to_date(options)
    if outcome.stopped:
        return print_stopped(options.out, outcome.stopped, outcome.interrupted, command_line(options.arguments))
    return after_run(options.out, dag, outcome)


def bring_up_to_date(options: argparse.Namespace) -> tuple[Dag, RunSummary]:
    """Do what the options of `shhq-hs run` ask for; raises ShhqError on what the user must fix."""
    _require_limits(options.max_error_fraction, options.time_limit)
    whole = paper_stages.build(options.set)
    dag = _until(whole, options.until)
    source, out, gathering = _places(options)
    steps = (gathering.clips, gathering.fetch, *whole.steps)
    config = config_file.as_toml(options.resolved, (one for step in steps for one in step.settings()))
    command = command_line(options.arguments)
    with hint(command), make_executor(options.cluster, options.workers, options.dashboard) as executor:
        settings = (options.max_error_fraction, command, options.time_limit, options.follow_links, config, gathering)
        return dag, run(source, out, dag, executor, *settings)


def plan(options: argparse.Namespace) -> int:
    """Print what would run, why, and what it takes; returns 0."""
    dag = _until(paper_stages.build(options.set), options.until)
    source, out, gathering = _places(options)
    store, workers = Store(out), 1 if options.cluster == "serial" else worker_count(options.workers)
    found = make_plan(
        store, dag, preview(source, out, options.follow_links, gathering, Gatherer(source, out, gathering))
    )
    show = print_plan_json if options.json else print_plan
    show(found, estimate(store, dag, found), workers, out)
    return 0


def _require_limits(max_error_fraction: float, time_limit_s: float | None) -> None:
    if not 0 <= max_error_fraction <= 1:
        raise ConfigError(f"--max-error-fraction {max_error_fraction}: expected a number from 0 to 1")
    if time_limit_s is not None and not 0 < time_limit_s <= _LONGEST_LIMIT_S:
        raise ConfigError(f"--time-limit {time_limit_s:g}: expected seconds above 0, at most {_LONGEST_LIMIT_S:g}")


def _places(options: argparse.Namespace) -> tuple[Location, Location, Gathering]:
    """The folder of SOURCE and OUT as absolute paths (workers may start elsewhere), and which inputs are wanted.

    A list or a single video lies in its folder, or in that of `--root`. All is checked before anything starts.
    """
    source, out = options.source.resolve(), options.out.resolve()
    gathering = replace(
        paper_stages.gathering(options.set), limit=_limit_of(options.limit), sample=_sample_of(options.sample)
    )
    if _is_file(source):
        root = source.parent if options.root is None else options.root.resolve()
        gathering = replace(gathering, given=_given(source, root))
        source = root
    if isinstance(source, Path) and not source.is_dir():
        raise ConfigError(f"SOURCE {str(options.source)!r} is not a folder; give the folder of the photographs, "
                          "a video, a .tar of pictures, or a list as .csv or .parquet")  # fmt: skip
    if isinstance(out, Path):
        require_folder(out)
    if out == source:
        raise ConfigError(f"--out {str(options.out)!r} is the folder of the photographs; give another one")
    return source, out, gathering


def _is_file(source: Location) -> bool:
    """Whether SOURCE is one video, archive or list; an object store is asked only where the name may be one.

    Raises ConfigError where there is none of that name.
    """
    if not isinstance(source, ObjectPath):
        return source.is_file()
    if not _is_alone(source.name) and source.suffix.lower() not in LIST_SUFFIXES:
        return False
    if not source.exists():
        raise ConfigError(f"SOURCE {str(source)!r}: there is no such object; look: aws s3 ls {source.parent}/")
    return source.is_file()


def _is_alone(name: str) -> bool:
    """Whether a file is a source of its own, without a folder that its paths begin at."""
    return is_video(name) or is_tar(name)


def _given(source: Location, root: Location) -> str:
    """The name of a video or a list for `Gathering.given`; a list elsewhere keeps its whole path."""
    if not _is_alone(source.name) and source.suffix.lower() not in LIST_SUFFIXES:
        raise ConfigError(f"SOURCE {str(source)!r} is neither a folder, a video ({' '.join(sorted(VIDEO_SUFFIXES))}), "
                          f"a .tar of pictures nor a list ({' '.join(LIST_SUFFIXES)})")  # fmt: skip
    if _is_alone(source.name):
        if root != source.parent:
            raise ConfigError(f"--root {str(root)!r}: it is for a list; leave it out for {source.name!r}")
        return source.name
    return str(source)


def _limit_of(limit: int | None) -> int | None:
    if limit is not None and limit < 1:
        raise ConfigError(f"--limit {limit}: expected a whole number of at least 1")
    return limit


def _sample_of(fraction: float | None) -> float | None:
    if fraction is not None and not 0 < fraction <= 1:
        raise ConfigError(f"--sample {fraction:g}: expected a number above 0, at most 1")
    return fraction


def _until(dag: Dag, stage: str | None) -> Dag:
    return dag.until(paper_stages.STAGE_NAMES[paper_stages.stage_index(stage)]) if stage else dag
