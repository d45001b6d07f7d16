"""`shhq-hs prune`: show, and with --yes remove, variants of stages that no longer serve."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out(parser)
    parser.add_argument("--yes", action="store_true", help="remove them")


def _load() -> Run:
    from pipelines.commands.prune import prune

    return lambda options: prune(options.out, options.yes)


VERB = Verb("prune", "show, and with --yes remove, variants of stages that no longer serve", _arguments, _load)
