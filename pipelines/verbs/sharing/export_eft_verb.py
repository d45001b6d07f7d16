"""`shhq-hs export-eft`: body fits as JSON in the layout of EFT's published files."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out_folder


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out_folder(parser)
    add = parser.add_argument
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="where the JSON goes")
    add("--all", action="store_true", help="keep fits that EFT's own exporter would leave out")


def _load() -> Run:
    from pipelines.commands.export_bodies import export_bodies

    return lambda options: export_bodies(options.out, options.output, options.all)


VERB = Verb("export-eft", "body fits as JSON in the layout of EFT's published files", _arguments, _load)
