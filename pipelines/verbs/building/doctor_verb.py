"""`shhq-hs doctor`: can this machine build the data set?"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--out", type=Path, default=Path("build"), metavar="DIR", help="where it would lie (build)")
    add("--no-probe", action="store_true", help="do not send a photograph through all stages")
    add_json(parser)


def _load() -> Run:
    from pipelines.commands.doctor import doctor

    return lambda options: doctor(options.out, not options.no_probe, options.json)


VERB = Verb("doctor", "can this machine build the data set? with advice", _arguments, _load)
