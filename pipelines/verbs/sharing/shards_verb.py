"""`shhq-hs shards`: shards of a part of a data set."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out_folder


def _arguments(parser: argparse.ArgumentParser) -> None:
    build = parser.add_subparsers(required=True, metavar="ACTION").add_parser("build", help="from a chosen subset")
    add_out_folder(build)
    build.add_argument("--subset", type=Path, required=True, metavar="FILE", help="what `shhq-hs select` wrote")
    build.add_argument("--out", dest="target", type=Path, required=True, metavar="DIR", help="folder for the shards")


def _load() -> Run:
    from pipelines.commands.subset import build_shards

    return lambda options: build_shards(options.out, options.subset, options.target)


VERB = Verb("shards", "shards of a part of a data set", _arguments, _load)
