"""`shhq-hs status`: how far a data set is, and what was lost where."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_json, add_out


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out(parser)
    add_json(parser)


def _load() -> Run:
    from pipelines.commands.summary import status

    return lambda options: status(options.out, options.json)


VERB = Verb("status", "how far a data set is, and what was lost where", _arguments, _load)
