"""`shhq-hs assets`: model files, what each enables, found or missing, where to get it."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_json(parser)


def _load() -> Run:
    from pipelines.commands.assets import print_assets

    return lambda options: print_assets(options.json)


VERB = Verb("assets", "model files: what each enables, found or missing, where to get it", _arguments, _load)
