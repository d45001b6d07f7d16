"""`shhq-hs show`: one image's whole story, as a table and a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out_folder


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out_folder(parser)
    add = parser.add_argument
    add("sample", metavar="SAMPLE", help="sample id, the start of one, or the path of the input")
    add("--png", type=Path, help="where to write the picture (default: OUT/report/show/<id>.png)")


def _load() -> Run:
    from pipelines.commands.show import show

    return lambda options: show(options.out, options.sample, options.png)


VERB = Verb("show", "one image's whole story, as a table and a picture", _arguments, _load)
