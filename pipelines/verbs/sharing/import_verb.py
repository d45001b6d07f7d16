"""`shhq-hs import`: the authors' own SHHQ-HS, for training with this package."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", type=Path, nargs="?", metavar="SOURCE", help="folder of the hand-out")
    add("--out", type=Path, metavar="DIR", help="new folder for manifest and shards")
    add("--field", action="append", default=[], metavar="NAME=THEIRS", help="name of a label field")
    add("--fields", action="store_true", help="print every assumed field, and stop")
    add("--body", default="SMPL_NEUTRAL.pkl", metavar="FILE", help="body model of the coefficients")
    add("--face", default="BFM_model_front.mat", metavar="FILE", help="face model of the coefficients")
    add("--val-fraction", type=float, default=0.05, metavar="F", help="validation split (0.05)")


def _load() -> Run:
    from pipelines.commands.import_handout import run

    return run


VERB = Verb("import", "the authors' own SHHQ-HS, for training with this package", _arguments, _load)
