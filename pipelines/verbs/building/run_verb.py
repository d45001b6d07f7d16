"""`shhq-hs run`: build a data set or bring it up to date."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import SETTINGS, add_build


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_build(parser)
    add = parser.add_argument
    add("--dashboard", action="store_true", help="serve dask's page of the workers at work, which every account of "
        "this machine can read; needs bokeh")  # fmt: skip
    add("--max-error-fraction", type=float, default=0.01, metavar="F", help="stop early when more than this part of a "
        "stage's images fail (default 0.01, judged after 256 images)")  # fmt: skip
    add("--time-limit", type=float, metavar="S", help="processor seconds that one image may take in one stage "
        "(default 300; super-resolution 1800)")  # fmt: skip


def _load() -> Run:
    from pipelines.commands.build_dataset import build

    return build


VERB = Verb("run", "build or bring up to date", _arguments, _load, SETTINGS)
