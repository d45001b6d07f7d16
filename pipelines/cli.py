"""`shhq-hs`: the command line. Verbs here, nouns elsewhere."""

from __future__ import annotations

import os

# Before torch is imported anywhere: threads that wait must not spin (5-17x on busy cores).
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GLOG_minloglevel", "2")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dataprep import __version__
from dataprep.errors import ConfigError, ShhqError
from pipelines import owner

if TYPE_CHECKING:  # torch and dask are imported by the command that needs them
    from pipelines.dag import Dag

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
"""
_SETTINGS = """\
parameters (--set stage.param=value, repeatable) are the fields of each stage; `shhq-hs params` lists them.
examples:
  --set superres.model=animevideov3     a small network: fast previews
  --set superres.precision=bfloat16     two to three times faster where the CPU or GPU has it
  --set body.method=map                 batched fits instead of EFT
"""
_MOTION = """\
what moves (no file: every seed draws its own from --labels):
  shhq-hs animate --checkpoint FILE --out DIR --labels OUT --seeds 0-3                  eight stills a person
  shhq-hs animate --checkpoint FILE --out DIR --labels OUT --interpolate --frames 96    a loop through drawn key frames
  shhq-hs animate --checkpoint FILE --out DIR --orbit --kinds mp4,depth,mesh            a neutral portrait, from around
  shhq-hs animate --checkpoint FILE --out DIR --keyframes KEYS --interpolate            expression.npy [N,64],
                                                            pose.npy [N,6,3] rad and camera.npy [N,2] rad in KEYS
  shhq-hs animate --checkpoint FILE --out DIR --track OUT/manifest.parquet              one row, one frame
A rerun writes the same bytes. docs/cameras.md says what the two cameras see and what the angles mean.
"""

_TRAINING = """\
examples (docs/training.md has the rest):
  shhq-hs train --preset paper-stage1 --print                            every value and where it comes from
  shhq-hs train --data OUT --preset small --out RUN1                     stage 1
  shhq-hs train --data OUT --preset small-stage2 --from RUN1 --out RUN2  stage 2: super-resolution on a frozen stage 1
  torchrun --nproc-per-node 4 --no-python shhq-hs train ...              the same run on four GPUs
To resume, run the same command again.
"""
_EVALUATION = """\
examples (docs/evaluation.md says what every number means):
  shhq-hs evaluate RUN --data OUT                                        offline metrics, control, a page of pictures
  shhq-hs evaluate RUN --data OUT --count 20000 --inception FILE.pth     FID and KID, with the weights of pytorch-fid:
                                 pt_inception-2015-12-05-6726825d.pth (found by itself in the assets folder)
  shhq-hs compare-runs RUN1 RUN2                                         evaluated runs side by side
To resume, run the same command again.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 nothing accepted or something failed, 2 the user's to mend."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(arguments)
    options.arguments = arguments
    try:
        return options.run(options)
    except ShhqError as error:
        print(f"shhq-hs: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\nshhq-hs: stopped; finished parts are kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("shhq-hs", description=_DESCRIPTION, formatter_class=formatter)
    parser.add_argument("--version", action="version", version=f"shhq-hs {__version__}")
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = verbs.add_parser("run", help="build or bring up to date", epilog=_SETTINGS, formatter_class=formatter)
    _add_dataset_arguments(run)
    run.add_argument(
        "--max-error-fraction",
        type=float,
        default=0.01,
        metavar="F",
        help="stop early when more than this part of a stage's images fail (default 0.01, judged after 256 images)",
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
    status.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    status.set_defaults(run=_status)

    show = verbs.add_parser("show", help="one image's whole story, as a table and a picture")
    show.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    show.add_argument("sample", metavar="SAMPLE", help="sample id, the start of one, or the path of the input")
    show.add_argument("--png", type=Path, help="where to write the picture (default: OUT/report/show/<id>.png)")
    show.set_defaults(run=_show)

    errors = verbs.add_parser("errors", help="every image that is not ok, with its reason and path")
    errors.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    _add_choice_arguments(errors, statuses="")
    errors.add_argument("--traceback", action="store_true", help="also print the tracebacks of errors")
    errors.set_defaults(run=_errors)

    retry = verbs.add_parser("retry", help="let the next run compute failed images again")
    retry.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    _add_choice_arguments(retry, statuses="error,timeout,crash")
    retry.set_defaults(run=_retry)

    verify = verbs.add_parser("verify", help="is the data set whole, and every file as it was written?")
    verify.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    verify.add_argument("--deep", action="store_true", help="also read and hash every byte")
    verify.set_defaults(run=_verify)

    doctor = verbs.add_parser("doctor", help="can this machine build the data set? with advice")
    doctor.add_argument("--out", type=Path, default=Path("build"), metavar="DIR", help="where it would lie (build)")
    doctor.add_argument("--no-probe", action="store_true", help="do not send a photograph through all stages")
    doctor.set_defaults(run=_doctor)

    assets = verbs.add_parser("assets", help="model files: what each enables, found or missing, where to get it")
    assets.set_defaults(run=_assets)

    accuracy = verbs.add_parser("accuracy", help="compare labels with ground truth")
    accuracy.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    accuracy.add_argument("--truth", type=Path, required=True, help="folder of truth files (docs/truth.md)")
    accuracy.add_argument("--json", type=Path, help="also write the numbers here")
    accuracy.add_argument("--csv", type=Path, help="also write every error of every sample here")
    accuracy.add_argument("--people", type=int, default=500, metavar="N", help="made-up people on which body fits are "
                          "compared (default 500, a few minutes; 0 leaves that out)")  # fmt: skip
    accuracy.set_defaults(run=_accuracy)

    export = verbs.add_parser("export-eft", help="body fits as JSON in the layout of EFT's published files")
    export.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    export.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the JSON goes")
    export.add_argument("--all", action="store_true", help="keep fits that EFT's own exporter would leave out")
    export.set_defaults(run=_export_eft)

    owner.add_commands(verbs)

    animate = verbs.add_parser(
        "animate", help="videos, stills and meshes from a generator", epilog=_MOTION, formatter_class=formatter
    )
    _add_animation_arguments(animate)
    animate.set_defaults(run=_animate)

    training = verbs.add_parser(
        "train", help="train the generator on a data set", epilog=_TRAINING, formatter_class=formatter
    )
    _add_training_arguments(training)
    training.set_defaults(run=_train)

    evaluation = verbs.add_parser(
        "evaluate", help="how good a generator is, and does it obey?", epilog=_EVALUATION, formatter_class=formatter
    )
    _add_evaluation_arguments(evaluation)
    evaluation.set_defaults(run=_evaluate)

    compared = verbs.add_parser("compare-runs", help="evaluated runs side by side")
    compared.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders that were evaluated")
    compared.set_defaults(run=_compare_runs)

    lifter = verbs.add_parser("train-lifter", help="train the key-point lifter for the body model (minutes)")
    lifter.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="see: shhq-hs train-lifter -- --help")
    lifter.set_defaults(run=_train_lifter)
    return parser


def _add_dataset_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", type=Path, metavar="SOURCE", help="folder of photographs; read only, any layout")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the data set")
    parser.add_argument("--until", metavar="STAGE", help="stop after this stage")
    parser.add_argument(
        "--workers", default="auto", help="worker processes: a number, or auto = one per core (default)"
    )
    parser.add_argument(
        "--cluster", default="local", help="local (default), serial (no dask), tcp://host:port, file:scheduler.json"
    )
    _add_set_argument(parser)


def _add_set_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE", help="change a parameter")


def _paths(options: argparse.Namespace) -> tuple[Path, Path]:
    """SOURCE and OUT as absolute paths (workers may start elsewhere), checked before anything starts."""
    source, out = options.source.resolve(), options.out.resolve()
    if not source.is_dir():
        raise ConfigError(f"SOURCE {str(options.source)!r} is not a folder; give the folder that holds the photographs")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {str(options.out)!r} is a file; give a folder, new or of an earlier run")
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


def _add_animation_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="the authors' sshq512.pt, or a file that training wrote")
    add("--out", type=Path, required=True, metavar="DIR", help="folder for the results")
    add("--seeds", default="0", metavar="S[,S]", help="people, as numbers: 0,3 or 0-7 (default 0)")
    add("--labels", type=Path, metavar="OUT", help="data set whose label rows people and motions are drawn from")
    add("--track", type=Path, metavar="FILE", help="parquet with bfm_exp, joints_zyx, camera_pitch_yaw: a row a frame")
    add("--keyframes", type=Path, metavar="DIR", help="folder with expression.npy, pose.npy, camera.npy")
    add("--frames", type=int, metavar="N", help="frames a person (default: the track's; 8 stills; 48 when moving)")
    add("--interpolate", action="store_true", help="take frames for key frames and go smoothly from one to the next")
    add("--orbit", action="store_true", help="let the camera go around instead of following labels")
    add("--psi", type=float, default=0.7, help="truncation: 0 the mean person, 1 none (default 0.7)")
    add("--preview", action="store_true", help="half the image side, about a tenth of the work")
    add("--kinds", default="mp4,png", metavar="K[,K]", help="of mp4,gif,png,depth,mesh (default mp4,png)")
    add("--views", default="portrait,face", metavar="V[,V]", help="cameras: portrait,face (default both)")
    add("--fps", type=float, default=25.0, help="frames a second of videos (default 25)")
    add("--body", metavar="FILE", help="body model of the weights (default: known by its hash; SMPL for the authors')")
    add("--nearest", type=Path, metavar="FILE", help="the authors' valid_smpl_knn_index.npy")
    add("--precision", default="float32", metavar="P", help="of super-resolution: float32 (default) or bfloat16")
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add("--threads", type=int, metavar="N", help="CPU threads (default: one per core)")


def _add_training_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preset", required=True, metavar="NAME", help="paper-stage1, paper-stage2, small, tiny, ... (a wrong name "
        "lists all)")  # fmt: skip
    add("--data", nargs="+", type=Path, metavar="OUT", help="folders of data sets, all of one body and face model")
    add("--out", type=Path, metavar="RUN", help="folder of the run")
    add("--from", dest="begun_from", type=Path, metavar="RUN1", help="run to begin from: stage 2 needs one of stage 1")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change an entry of the preset (repeatable)")
    add("--print", action="store_true", help="print the preset and where each value comes from; train nothing")
    add("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    add("--precision", default="float32", metavar="P", help="of critics and U: float32 (default), bfloat16 or float16")
    add("--micro", type=int, default=4, metavar="N", help="most pictures in memory at a time (default 4)")
    add("--workers", type=int, default=0, metavar="N", help="loader processes (default 0: none but this one)")
    add("--every", type=int, metavar="N", help="images between checkpoints and snapshots (default: a twentieth)")
    add("--body", metavar="FILE", help="body model of the labels (default: the shipped one)")
    add("--face", metavar="FILE", help="face model of the labels (default: the shipped one)")
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add("--threads", type=int, metavar="N", help="CPU threads (default: one per core)")


def _add_evaluation_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run_folder", type=Path, metavar="RUN", help="folder of a run of shhq-hs train, or a checkpoint")
    add("--data", nargs="+", type=Path, required=True, metavar="OUT", help="data sets: real pictures and label rows")
    add("--out", type=Path, metavar="DIR", help="folder for the report (default: RUN/evaluation)")
    add("--count", type=int, default=1000, metavar="N", help="generated pictures (default 1000; the paper has 20000)")
    add("--real", type=int, metavar="N", help="real pictures, drawn from the seed (default: all)")
    add("--split", default="train", choices=("train", "val"), help="of the data set (default train)")
    add("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    add("--psi", type=float, default=1.0, help="truncation: 0 the mean person, 1 none (default)")
    add("--inception", type=Path, metavar="FILE", help="Inception weights for FID and KID")
    add("--resize", default="tf1", metavar="R", help="before Inception: tf1 (torch-fidelity, default) or bilinear "
        "(pytorch-fid)")  # fmt: skip
    add(
        "--control",
        type=int,
        default=200,
        metavar="N",
        help="pictures read for control (default 200; 0: none)",
    )
    add("--people", type=int, default=8, metavar="N", help="people swept through commands (default 8; 0: none)")
    add("--reader", default="landmarks", choices=("landmarks", "network"), help="of expressions: MediaPipe and a "
        "fit (default), or the network of Eq. 9: R-Net for BFM")  # fmt: skip
    add("--truth", type=Path, metavar="DIR", help="truth files of the real pictures: the reader's error on renders")
    add("--no-initial", action="store_true", help="do not hold the run against its own initialisation")
    add("--body", metavar="FILE", help="body model of the weights (default: known by its hash)")
    add("--face", metavar="FILE", help="face model of the labels (default: the shipped one)")
    add(
        "--workers",
        default="auto",
        metavar="N",
        help="processes; no number depends on it (default: one a core)",
    )
    add("--device", default="auto", help="auto (default), cpu or cuda")


def _dag(options: argparse.Namespace) -> Dag:
    from pipelines import config

    dag = config.build(options.set)
    return dag.until(config.STAGE_NAMES[config.stage_index(options.until)]) if options.until else dag


def _run(options: argparse.Namespace) -> int:
    from pipelines import resume, summary
    from pipelines.executors import make_executor
    from pipelines.run import run

    if not 0 <= options.max_error_fraction <= 1:
        raise ConfigError(f"--max-error-fraction {options.max_error_fraction}: expected a number from 0 to 1")
    dag = _dag(options)
    source, out = _paths(options)
    command = resume.command_line(options.arguments)
    with resume.hint(command), make_executor(options.cluster, options.workers) as executor:
        outcome = run(source, out, dag, executor, options.max_error_fraction, command)
    if outcome.stopped:
        return resume.print_stopped(options.out, outcome.stopped, outcome.interrupted, command)
    return summary.after_run(options.out, dag, outcome)


def _plan(options: argparse.Namespace) -> int:
    from dataprep.store import Store
    from pipelines import summary
    from pipelines.index import preview
    from pipelines.plan import make_plan

    dag = _dag(options)
    source, out = _paths(options)
    return summary.print_plan(make_plan(Store(out), dag, preview(source, out)))


def _params(options: argparse.Namespace) -> int:
    from pipelines import config, summary

    return summary.print_parameters(config.build(options.set))


def _status(options: argparse.Namespace) -> int:
    from pipelines import summary

    return summary.status(options.out)


def _show(options: argparse.Namespace) -> int:
    from pipelines.show import show

    return show(options.out, options.sample, options.png)


def _errors(options: argparse.Namespace) -> int:
    from pipelines.errors import print_errors

    return print_errors(options.out, options.stage, options.status, options.reason, options.traceback)


def _retry(options: argparse.Namespace) -> int:
    from pipelines.retry import retry

    return retry(options.out, options.stage, options.status, options.reason)


def _verify(options: argparse.Namespace) -> int:
    from pipelines.verify import verify

    return verify(options.out, options.deep)


def _doctor(options: argparse.Namespace) -> int:
    from pipelines.doctor import doctor

    return doctor(options.out, not options.no_probe)


def _assets(options: argparse.Namespace) -> int:
    from pipelines.assets import print_assets

    return print_assets()


def _accuracy(options: argparse.Namespace) -> int:
    from pipelines.accuracy import report

    return report(options.out, options.truth, options.json, options.csv, options.people)


def _export_eft(options: argparse.Namespace) -> int:
    from dataprep.eft_json import export_eft

    written, left_out = export_eft(options.out, options.output, options.all)
    print(f"{options.output}: {written} fits; {left_out} left out (49-joint loss above 5e-4 or a beta beyond 3)")
    return 0


def _animate(options: argparse.Namespace) -> int:
    import torch

    from gan.animate import Animation, animate
    from pipelines.progress import Progress

    torch.set_num_threads(max(1, options.threads or len(os.sched_getaffinity(0))))
    names = [field.name for field in dataclasses.fields(Animation)]
    given = {name: getattr(options, name) for name in names}
    given |= {"seeds": _numbers(options.seeds, "--seeds")}
    given |= {name: tuple(given[name].split(",")) for name in ("kinds", "views")}
    remarks = animate(Animation(**given), lambda total: Progress(total, workers=1, unit="pieces"))
    for remark in remarks:
        print(f"note: {remark}", file=sys.stderr)
    print(f"{options.out}: {', '.join(given['kinds'])} of seeds {options.seeds}")
    return 0


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """0,3 or 0-7 as numbers."""
    numbers: list[int] = []
    for word in text.split(","):
        first, _, last = word.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ConfigError(f"{option} {text}: expected numbers and ranges such as 0,3 or 0-7")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)


def _train(options: argparse.Namespace) -> int:
    from pipelines.train import run

    return run(options)


def _evaluate(options: argparse.Namespace) -> int:
    from pipelines.evaluate import run

    return run(options)


def _compare_runs(options: argparse.Namespace) -> int:
    from pipelines.evaluate import compare

    return compare(options)


def _train_lifter(options: argparse.Namespace) -> int:
    from dataprep.fits.train_lifter import main as train

    return train([option for option in options.options if option != "--"])


if __name__ == "__main__":
    sys.exit(main())
