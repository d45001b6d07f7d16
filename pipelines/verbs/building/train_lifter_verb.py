"""`shhq-hs train-lifter`: train the key-point lifter for the body model (minutes)."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("options", nargs=argparse.REMAINDER, metavar="...", help="see: shhq-hs train-lifter -- --help")


def _load() -> Run:
    from dataprep.fits.body.train_lifter import main

    return lambda options: main([option for option in options.options if option != "--"])


VERB = Verb("train-lifter", "train the key-point lifter for the body model (minutes)", _arguments, _load)
