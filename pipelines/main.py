"""`shhq-hs`: the command line. It assembles the verbs of pipelines.verbs, whose order is that of the help."""

from __future__ import annotations

import os

# Before torch and pyarrow are imported anywhere: threads that wait must not spin (5-17x on busy cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")  # Arrow's own keeps what tables have left
os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dataprep import __version__
from dataprep.errors import ConfigError, ShhqError
from dataprep.extras import remedy_for_import
from dataprep.files.filenames import printable_lines
from dataprep.files.locations import ObjectPath
from pipelines import config_file
from pipelines.machine.terminal import spoken
from pipelines.verbs.building import (
    assets_verb,
    completion_verb,
    doctor_verb,
    params_verb,
    plan_verb,
    prune_verb,
    retry_verb,
    run_verb,
    train_lifter_verb,
    worker_verb,
)
from pipelines.verbs.checking import (
    accuracy_verb,
    benchmark_verb,
    compare_verb,
    errors_verb,
    people_verb,
    review_verb,
    show_verb,
    status_verb,
    verify_verb,
    view_verb,
)
from pipelines.verbs.generator import animate_verb, compare_runs_verb, evaluate_verb, track_verb, train_verb
from pipelines.verbs.sharing import export_eft_verb, export_verb, import_verb, merge_verb, select_verb, shards_verb
from pipelines.verbs.suggesting_parser import SuggestingParser

_DESCRIPTION = """\
Turn full-body photographs into SHHQ-HS, the head-shoulder portrait data set of AniPortraitGAN.

  shhq-hs run samples/people --out build/shhq-hs     build it (again: goes on where it stopped)
  shhq-hs plan samples/people --out build/shhq-hs    what would run, and why
  shhq-hs status build/shhq-hs                       how far it is, and what was lost where
  shhq-hs show build/shhq-hs SAMPLE_ID               one image's whole story
  shhq-hs view build/shhq-hs                         look at every picture, mark what is wrong, in a browser
  shhq-hs errors build/shhq-hs                       every image that was lost, and why
  shhq-hs compare OLD NEW                            two versions of a data set; also: select, shards build, export
  shhq-hs doctor                                     can this machine build it?
  shhq-hs assets                                     model files: found, missing, where to get them
  shhq-hs train --data OUT --preset tiny --out RUN   train the generator on it
  shhq-hs evaluate RUN --data OUT                    how good it is, and does it obey?
  shhq-hs animate --checkpoint FILE --out DIR        people of a trained generator, moving
  shhq-hs track VIDEO -o FILE.parquet                a person of a video, for a generated one to follow
"""
_EXIT_STATUS = """\
exit status:
  0    done
  1    nothing was accepted, something failed, or a check found a fault
  2    something for you to put right; the message says how
  75   training was stopped by SIGTERM or SIGUSR1: start the same command again
  130  stopped by you
"""
VERBS = tuple(
    module.VERB
    for module in (
        run_verb,
        plan_verb,
        params_verb,
        status_verb,
        show_verb,
        view_verb,
        worker_verb,
        errors_verb,
        retry_verb,
        verify_verb,
        prune_verb,
        doctor_verb,
        assets_verb,
        completion_verb,
        accuracy_verb,
        benchmark_verb,
        export_eft_verb,
        compare_verb,
        people_verb,
        review_verb,
        select_verb,
        shards_verb,
        merge_verb,
        export_verb,
        import_verb,
        animate_verb,
        train_verb,
        evaluate_verb,
        compare_runs_verb,
        track_verb,
        train_lifter_verb,
    )
)
_URL_AS_PATH = re.compile(r"(s3|memory|gs|abfs|https?):/+(.*)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (`_EXIT_STATUS`)."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    return _status_of(lambda: _run(given))


def _run(arguments: list[str]) -> int:
    options = config_file.parse(make_parser(), arguments)
    options.arguments, options.parser = arguments, make_parser
    with spoken(options.quiet, options.verbose, options.log_file):
        return _status_of(lambda: _do(options))  # its last words stand in the log file, too


def _do(options: argparse.Namespace) -> int:
    _check_urls(options)
    return options.load()(options)


def _status_of(work: Callable[[], int]) -> int:
    """Do `work`; an end that its user can understand is a sentence and an exit status."""
    try:
        return work()
    except ShhqError as error:
        print(f"shhq-hs: {printable_lines(str(error))}", file=sys.stderr)
        return 2
    except ImportError as error:
        if (error.name or "").partition(".")[0] in ("dataprep", "gan", "pipelines"):
            raise  # a fault of ours, no package that is absent
        print(f"shhq-hs: a package does not load: {error}; run: {remedy_for_import(error)}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nshhq-hs: stopped; finished parts are kept", file=sys.stderr)
        return 130


def _check_urls(options: argparse.Namespace) -> None:
    """URLs are for the commands that build and keep a data set; the others read folders."""
    for value in vars(options).values():
        for path in value if isinstance(value, list | tuple) else [value]:
            if isinstance(path, ObjectPath):
                if path.url.startswith("memory:"):
                    raise ConfigError(
                        f"{path} would be gone when this command ends; give a folder or s3://bucket/prefix"
                    )
                path.require_reachable()
            elif isinstance(path, Path) and (match := _URL_AS_PATH.match(str(path))):
                url = f"{match[1]}://{match[2]}"
                raise ConfigError(f"{url}: this command works on folders; copy it first: aws s3 sync {url} FOLDER")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of the whole command line; an option `load` of what it parses imports what is asked for."""
    parser = SuggestingParser(
        "shhq-hs", description=_DESCRIPTION, epilog=_EXIT_STATUS, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"shhq-hs {__version__}")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for verb in VERBS:
        verb.add_to(verbs)
    return parser


if __name__ == "__main__":
    sys.exit(main())
