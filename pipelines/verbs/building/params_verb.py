"""`shhq-hs params`: every stage's parameters and their values."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import SETTINGS, add_json, add_set


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_set(parser)
    add_json(parser)


def _load() -> Run:
    from pipelines.commands.summary import print_parameters
    from pipelines.paper_stages import build

    return lambda options: print_parameters(build(options.set), options.json)


VERB = Verb("params", "every stage's parameters and their values", _arguments, _load, SETTINGS)
