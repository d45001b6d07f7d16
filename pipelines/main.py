"""`shhq-hs`: the command line. Verbs here, nouns elsewhere."""

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
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataprep import __version__
from dataprep.errors import ConfigError, ShhqError
from dataprep.files.filenames import printable_lines
from dataprep.files.locations import Location, ObjectPath, location
from pipelines import config_file
from pipelines.commands import generator_verbs, owner, track

if TYPE_CHECKING:  # torch and dask are imported by the command that needs them
    from pipelines.engine.dag import Dag

_DESCRIPTION = """\
Turn full-body photographs into SHHQ-HS, the head-shoulder portrait data set of AniPortraitGAN.

  shhq-hs run samples/people --out build/shhq-hs     build it (again: goes on where it stopped)
  shhq-hs plan samples/people --out build/shhq-hs    what would run, and why
  shhq-hs status build/shhq-hs                       how far it is, and what was lost where
  shhq-hs show build/shhq-hs SAMPLE_ID               one image's whole story
  shhq-hs errors build/shhq-hs                       every image that was lost, and why
  shhq-hs compare OLD NEW                            two versions of a data set; also: select, shards build, export
  shhq-hs doctor                                     can this machine build it?
  shhq-hs assets                                     model files: found, missing, where to get them
  shhq-hs train --data OUT --preset tiny --out RUN   train the generator on it
  shhq-hs evaluate RUN --data OUT                    how good it is, and does it obey?
  shhq-hs animate --checkpoint FILE --out DIR        people of a trained generator, moving
  shhq-hs track VIDEO -o FILE.parquet                a person of a video, for a generated one to follow
"""
_OUT = "folder or s3:// URL of the data set"
_SETTINGS = """\
parameters (--set stage.param=value, repeatable) are the fields of each stage; `shhq-hs params` lists them.
examples:
  --set superres.model=span             a small network: fast previews
  --set superres.precision=float32      the same portraits from every CPU; bfloat16 takes less time
  --set body.method=map                 the likeliest body, without EFT's polish
"""


_LONGEST_LIMIT_S = 1e6  # timers of the system hold no more than some years
_URL_AS_PATH = re.compile(r"(s3|memory|gs|abfs|https?):/+(.*)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 nothing accepted or something failed, 2 the user's to fix."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        options = config_file.parse(make_parser(), arguments)
        options.arguments = arguments
        _check_urls(options)
        return options.run(options)
    except ShhqError as error:
        print(f"shhq-hs: {printable_lines(str(error))}", file=sys.stderr)
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
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("shhq-hs", description=_DESCRIPTION, formatter_class=formatter)
    parser.add_argument("--version", action="version", version=f"shhq-hs {__version__}")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = verbs.add_parser("run", help="build or bring up to date", epilog=_SETTINGS, formatter_class=formatter)
    _add_dataset_arguments(run)
    run.add_argument("--dashboard", action="store_true", help="serve dask's page of the workers at work, which every "
                     "account of this machine can read; needs bokeh")  # fmt: skip
    run.add_argument(
        "--max-error-fraction",
        type=float,
        default=0.01,
        metavar="F",
        help="stop early when more than this part of a stage's images fail (default 0.01, judged after 256 images)",
    )
    run.add_argument(
        "--time-limit",
        type=float,
        metavar="S",
        help="processor seconds that one image may take in one stage (default 300; super-resolution 1800)",
    )
    run.set_defaults(run=_run)

    plan = verbs.add_parser("plan", help="what would run, and why", epilog=_SETTINGS, formatter_class=formatter)
    _add_dataset_arguments(plan)
    plan.set_defaults(run=_plan)

    params = verbs.add_parser("params", help="every stage's parameters and their values", epilog=_SETTINGS,
                              formatter_class=formatter)  # fmt: skip
    _add_set_argument(params)
    params.set_defaults(run=_params)

    status = verbs.add_parser("status", help="how far a data set is, and what was lost where")
    status.add_argument("out", type=location, metavar="OUT", help=_OUT)
    status.set_defaults(run=_status)

    show = verbs.add_parser("show", help="one image's whole story, as a table and a picture")
    show.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    show.add_argument("sample", metavar="SAMPLE", help="sample id, the start of one, or the path of the input")
    show.add_argument("--png", type=Path, help="where to write the picture (default: OUT/report/show/<id>.png)")
    show.set_defaults(run=_show)

    worker = verbs.add_parser("worker", help="let this machine work for a dask scheduler (docs/clusters.md)")
    worker.add_argument("cluster", metavar="SCHEDULER", help="tls://host:port, tcp://host:port or file:scheduler.json")
    worker.add_argument("--workers", default="auto", help="processes: a number, or auto = one per core (default)")
    worker.add_argument("--gpus", type=int, metavar="N", help="how many of them own a GPU (default: all GPUs here)")
    worker.set_defaults(run=_worker)

    errors = verbs.add_parser("errors", help="every image that is not ok, with its reason and path")
    errors.add_argument("out", type=location, metavar="OUT", help=_OUT)
    _add_choice_arguments(errors, statuses="")
    errors.add_argument("--traceback", action="store_true", help="also print the tracebacks of errors")
    errors.set_defaults(run=_errors)

    retry = verbs.add_parser("retry", help="let the next run compute failed images again")
    retry.add_argument("out", type=location, metavar="OUT", help=_OUT)
    _add_choice_arguments(retry, statuses="error,timeout,crash")
    retry.set_defaults(run=_retry)

    verify = verbs.add_parser("verify", help="is the data set whole, and every file as it was written?")
    verify.add_argument("out", type=location, metavar="OUT", help=_OUT)
    verify.add_argument("--deep", action="store_true", help="also read and hash every byte")
    verify.add_argument("--repair", action="store_true", help="do that, and take away what is damaged: the next run "
                        "makes it anew")  # fmt: skip
    verify.set_defaults(run=_verify)

    prune = verbs.add_parser("prune", help="show, and with --yes remove, variants of stages that no longer serve")
    prune.add_argument("out", type=location, metavar="OUT", help=_OUT)
    prune.add_argument("--yes", action="store_true", help="remove them")
    prune.set_defaults(run=_prune)

    doctor = verbs.add_parser("doctor", help="can this machine build the data set? with advice")
    doctor.add_argument("--out", type=Path, default=Path("build"), metavar="DIR", help="where it would lie (build)")
    doctor.add_argument("--no-probe", action="store_true", help="do not send a photograph through all stages")
    doctor.set_defaults(run=_doctor)

    assets = verbs.add_parser("assets", help="model files: what each enables, found or missing, where to get it")
    assets.set_defaults(run=_assets)

    accuracy = verbs.add_parser("accuracy", help="compare labels with ground truth")
    accuracy.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    accuracy.add_argument("--truth", type=Path, required=True, help="folder of truth files (docs/truth.md)")
    accuracy.add_argument("--clip", type=Path, metavar="DIR", help="also track the clip there (samples/clip), against "
                          "its truth")  # fmt: skip
    accuracy.add_argument("--json", type=Path, help="also write the numbers here")
    accuracy.add_argument("--csv", type=Path, help="also write every error of every sample here")
    accuracy.add_argument("--people", type=int, default=500, metavar="N", help="made-up people on which body fits are "
                          "compared (default 500, a few minutes; 0 leaves that out)")  # fmt: skip
    accuracy.set_defaults(run=_accuracy)

    benchmark = verbs.add_parser("benchmark", help="landmarks and heads against public benchmarks (docs/truth.md)")
    benchmark.add_argument("folder", type=Path, metavar="DIR", help="pictures with .mat of AFLW2000-3D or iBUG's .pts "
                           "beside them")  # fmt: skip
    benchmark.add_argument("--json", type=Path, help="also write the numbers here")
    benchmark.add_argument("--csv", type=Path, help="also write a row for every annotated face here")
    benchmark.set_defaults(run=_benchmark)

    export = verbs.add_parser("export-eft", help="body fits as JSON in the layout of EFT's published files")
    export.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the JSON goes")
    export.add_argument("--all", action="store_true", help="keep fits that EFT's own exporter would leave out")
    export.set_defaults(run=_export_eft)

    owner.add_commands(verbs)
    generator_verbs.add_commands(verbs, formatter)
    track.add_command(verbs, formatter)

    lifter = verbs.add_parser("train-lifter", help="train the key-point lifter for the body model (minutes)")
    lifter.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="see: shhq-hs train-lifter -- --help")
    lifter.set_defaults(run=_train_lifter)
    return parser


def _add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=location, metavar="SOURCE",
                        help="folder or s3:// URL of photographs; read only, any layout")  # fmt: skip
    parser.add_argument("--out", type=location, required=True, metavar="DIR", help=_OUT)
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage")
    parser.add_argument("--follow-links", action="store_true", help="also read links that lead out of SOURCE")
    parser.add_argument(
        "--workers", default="auto", help="worker processes: a number, or auto = one per core (default)"
    )
    parser.add_argument(
        "--cluster",
        default="local",
        help="local (default), serial (no dask), tls://host:port (docs/clusters.md), "
        "tcp://host:port, file:scheduler.json",
    )
    _add_set_argument(parser)


def _add_set_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE", help="change a parameter")
    config_file.add_config_argument(parser, config_file.STAGES)


def _paths(options: argparse.Namespace) -> tuple[Location, Location]:
    """SOURCE and OUT as absolute paths (workers may start elsewhere), checked before anything starts."""
    from pipelines.commands.new_folder import require_folder

    source, out = options.source.resolve(), options.out.resolve()
    if isinstance(source, Path) and not source.is_dir():
        raise ConfigError(f"SOURCE {str(options.source)!r} is not a folder; give the folder that holds the photographs")
    if isinstance(out, Path):
        require_folder(out)
    if out == source:
        raise ConfigError(f"--out {str(options.out)!r} is the folder of the photographs; give another one")
    return source, out


def _add_choice_arguments(parser: argparse.ArgumentParser, statuses: str) -> None:
    parser.add_argument("--stage", default="", metavar="S[,S]", help="only rows that these stages lost")
    default = statuses or "all"
    parser.add_argument(
        "--status", default=statuses, metavar="X[,X]", help=f"of rejected, error, timeout, crash (default: {default})"
    )
    parser.add_argument("--reason", default="", metavar="R[,R]", help="only rows with these reasons")


def _until(dag: Dag, stage: str | None) -> Dag:
    from pipelines import paper_stages

    return dag.until(paper_stages.STAGE_NAMES[paper_stages.stage_index(stage)]) if stage else dag


def _run(options: argparse.Namespace) -> int:
    from pipelines import paper_stages
    from pipelines.commands import summary
    from pipelines.engine import resume
    from pipelines.engine.run import run
    from pipelines.executors.chosen_executor import make_executor

    if not 0 <= options.max_error_fraction <= 1:
        raise ConfigError(f"--max-error-fraction {options.max_error_fraction}: expected a number from 0 to 1")
    if options.time_limit is not None and not 0 < options.time_limit <= _LONGEST_LIMIT_S:
        raise ConfigError(
            f"--time-limit {options.time_limit:g}: expected seconds above 0, at most {_LONGEST_LIMIT_S:g}"
        )
    whole = paper_stages.build(options.set)
    dag = _until(whole, options.until)
    source, out = _paths(options)
    config = config_file.as_toml(options.resolved, (one for step in whole.steps for one in step.settings()))
    command = resume.command_line(options.arguments)
    with resume.hint(command), make_executor(options.cluster, options.workers, options.dashboard) as executor:
        settings = (options.max_error_fraction, command, options.time_limit, options.follow_links, config)
        outcome = run(source, out, dag, executor, *settings)
    if outcome.stopped:
        return resume.print_stopped(options.out, outcome.stopped, outcome.interrupted, command)
    return summary.after_run(options.out, dag, outcome)


def _plan(options: argparse.Namespace) -> int:
    from dataprep.tables.store import Store
    from pipelines import paper_stages
    from pipelines.commands import summary
    from pipelines.engine.index import preview
    from pipelines.engine.plan import make_plan

    dag = _until(paper_stages.build(options.set), options.until)
    source, out = _paths(options)
    return summary.print_plan(make_plan(Store(out), dag, preview(source, out, options.follow_links)))


def _params(options: argparse.Namespace) -> int:
    from pipelines import paper_stages
    from pipelines.commands import summary

    return summary.print_parameters(paper_stages.build(options.set))


def _status(options: argparse.Namespace) -> int:
    from pipelines.commands import summary

    return summary.status(options.out)


def _show(options: argparse.Namespace) -> int:
    from pipelines.commands.show import show

    return show(options.out, options.sample, options.png)


def _worker(options: argparse.Namespace) -> int:
    from pipelines.executors.chosen_executor import worker_count
    from pipelines.executors.dask_workers import join

    return join(options.cluster, worker_count(options.workers), options.gpus)


def _errors(options: argparse.Namespace) -> int:
    from pipelines.commands.errors import print_errors

    return print_errors(options.out, options.stage, options.status, options.reason, options.traceback)


def _retry(options: argparse.Namespace) -> int:
    from pipelines.commands.retry import retry

    return retry(options.out, options.stage, options.status, options.reason)


def _verify(options: argparse.Namespace) -> int:
    from pipelines.commands.verify import verify

    return verify(options.out.resolve(), options.deep, options.repair)


def _prune(options: argparse.Namespace) -> int:
    from pipelines.commands.prune import prune

    return prune(options.out, options.yes)


def _doctor(options: argparse.Namespace) -> int:
    from pipelines.commands.doctor import doctor

    return doctor(options.out, not options.no_probe)


def _assets(options: argparse.Namespace) -> int:
    from pipelines.commands.assets import print_assets

    return print_assets()


def _accuracy(options: argparse.Namespace) -> int:
    from pipelines.accuracy.photographs import report

    return report(options.out, options.truth, options.json, options.csv, options.people, options.clip)


def _benchmark(options: argparse.Namespace) -> int:
    from pipelines.accuracy.benchmarks import benchmark

    return benchmark(options.folder, options.json, options.csv)


def _export_eft(options: argparse.Namespace) -> int:
    from dataprep.exchange.eft_json import export_eft

    written, left_out = export_eft(options.out, options.output, options.all)
    print(f"{options.output}: {written} fits; {left_out} left out (49-joint loss above 5e-4 or a beta beyond 3)")
    return 0


def _train_lifter(options: argparse.Namespace) -> int:
    from dataprep.fits.body.train_lifter import main as train

    return train([option for option in options.options if option != "--"])


if __name__ == "__main__":
    sys.exit(main())
