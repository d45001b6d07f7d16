"""`shhq-hs verify`: is the data set whole, and every file as it was written?"""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_json, add_out


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out(parser)
    add = parser.add_argument
    add("--deep", action="store_true", help="also read and hash every byte")
    add("--repair", action="store_true", help="do that, and take away what is damaged: the next run makes it anew")
    add_json(parser)


def _load() -> Run:
    from pipelines.commands.verify import verify

    return lambda options: verify(options.out.resolve(), options.deep, options.repair, options.json)


VERB = Verb("verify", "is the data set whole, and every file as it was written?", _arguments, _load)
