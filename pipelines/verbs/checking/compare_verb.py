"""`shhq-hs compare`: two versions of a data set, what came, went and changed."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("old", type=Path, metavar="OLD", help="folder of the earlier data set, or its manifest")
    add("new", type=Path, metavar="NEW", help="folder of the later data set, or its manifest")
    add("--json", type=Path, help="also write the numbers here")


def _load() -> Run:
    from pipelines.commands.compare import compare

    return lambda options: compare(options.old, options.new, options.json)


VERB = Verb("compare", "two versions of a data set: what came, went and changed", _arguments, _load)
