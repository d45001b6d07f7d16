"""`shhq-hs errors`: every image that is not ok, with its reason and path."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_choice, add_json, add_out


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out(parser)
    add_choice(parser, statuses="")
    parser.add_argument("--traceback", action="store_true", help="also print the tracebacks of errors")
    add_json(parser)


def _load() -> Run:
    from pipelines.commands.errors import print_errors

    return lambda options: print_errors(
        options.out, options.stage, options.status, options.reason, options.traceback, options.json
    )


VERB = Verb("errors", "every image that is not ok, with its reason and path", _arguments, _load)
