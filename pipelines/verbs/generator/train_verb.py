"""`shhq-hs train`: train the generator on a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataprep.files.locations import location
from pipelines.config_file import PRESET, add_config_argument
from pipelines.verbs.base import Run, Verb

_EXAMPLES = """\
examples (docs/training.md has the rest):
  shhq-hs train --preset paper-stage1 --print                            every value and where it comes from
  shhq-hs train --data OUT --preset small --out RUN1                     stage 1
  shhq-hs train --data OUT --preset small-stage2 --from RUN1 --out RUN2  stage 2: super-resolution on a frozen stage 1
  shhq-hs train --preset small --print toml > MINE.toml                  a preset as a file, to edit: --preset MINE.toml
  shhq-hs train --preset paper-stage1 --plan                             what it will cost, and how long it takes
  torchrun --nproc-per-node 4 --no-python shhq-hs train ...              the same run on four GPUs
To resume, run the same command again. After SIGTERM or SIGUSR1 a run saves its state and ends with exit status 75.
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--preset", required=True, metavar="NAME", help="paper-stage1, paper-stage2, small, tiny, ... (a wrong name "
        "lists all), or a .toml file of --print toml")  # fmt: skip
    add("--data", nargs="+", type=location, metavar="OUT", help="folders or s3:// URLs of data sets, all of one body "
        "and face model")  # fmt: skip
    add("--out", type=Path, metavar="RUN", help="folder of the run")
    add("--from", dest="begun_from", type=Path, metavar="RUN1", help="run, or checkpoint file, to begin from; "
        "stage 2 needs one of stage 1; demo: the people that come with the package")  # fmt: skip
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="change an entry of the preset (repeatable)")
    add("--print", nargs="?", const="table", choices=("table", "toml"), help="print the preset and where each value "
        "comes from, as a table or as a file for --preset; train nothing")  # fmt: skip
    add("--plan", nargs="?", type=int, const=8, metavar="N", help="print pictures, steps, bytes, products, and "
        "hours on one and on N (default 8) of the GPUs that people have; train nothing")  # fmt: skip
    add("--gpu-check", type=Path, metavar="FILE", help="what `make check-gpu` found, for --plan (default: "
        "build/gpu-check.json where there is one)")  # fmt: skip
    add("--seed", type=int, default=0, metavar="N", help="of everything random (default 0)")
    add("--precision", default="float32", metavar="P", help="of critics and U: float32 (default), bfloat16 or float16")
    add("--products", default="float32", metavar="P", help="digits of what phi, M and D_e multiply: float32 (default), "
        "tf32 or bfloat16; they sum and take sines in float32")  # fmt: skip
    add("--micro", type=_count_or_auto, metavar="N|auto", help="most pictures in memory at a time (default auto: as "
        "many as fit; 4 on a CPU)")  # fmt: skip
    add("--recompute", choices=("auto", "yes", "no"), default="auto", help="compute patches again for the backward "
        "pass, to save memory (default auto: where fewer than 4 pictures fit without)")  # fmt: skip
    add("--workers", type=int, metavar="N", help="loader processes (default: 8 on a GPU or as many as there are cores, "
        "none on a CPU)")  # fmt: skip
    add("--every", type=int, metavar="N", help="images between checkpoints and snapshots (default: a twentieth)")
    add("--keep", type=int, default=3, metavar="N", help="checkpoints that stay below RUN/checkpoints (default 3)")
    add("--keep-best", type=int, default=1, metavar="N", help="further ones that measured best (default 1)")
    add("--measure", default="auto", metavar="N", help="generated pictures that every checkpoint is measured with; 0: "
        "none (default: a twentieth of the images between checkpoints, 50 to 2000)")  # fmt: skip
    add("--inception", type=Path, metavar="FILE", help="Inception weights: FID and KID too (found by themselves in the "
        "assets folder)")  # fmt: skip
    add("--log", choices=("wandb",), help="send losses, measurements and pictures to Weights & Biases, too")
    add("--body", metavar="FILE", help="body model of the labels (default: the shipped one)")
    add("--face", metavar="FILE", help="face model of the labels (default: the shipped one)")
    add("--device", default="auto", help="auto (default), cpu or cuda")
    add("--threads", type=int, metavar="N", help="CPU threads (default: one per core)")
    add_config_argument(parser, PRESET)


def _count_or_auto(value: str) -> int | None:
    return None if value == "auto" else int(value)


def _load() -> Run:
    from pipelines.commands.generator.train import run

    return run


VERB = Verb("train", "train the generator on a data set", _arguments, _load, _EXAMPLES)
