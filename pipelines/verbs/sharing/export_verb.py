"""`shhq-hs export`: images and labels as plain files, in layouts that other programs read."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out_folder


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out_folder(parser)
    add = parser.add_argument
    add("--out", dest="target", type=Path, required=True, metavar="DIR", help="new folder")
    add("--layout", default="eg3d", help="eg3d (default), plain, coco (key points) or fiftyone")
    add("--split", default="train", help="train (default), val or all")


def _load() -> Run:
    from pipelines.commands.export import export

    return lambda options: export(options.out, options.target, options.layout, options.split)


VERB = Verb("export", "images and labels as plain files: EG3D's layout, PNG and CSV, COCO, FiftyOne", _arguments, _load)
