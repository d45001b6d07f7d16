"""`shhq-hs plan`: what would run, and why."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import SETTINGS, add_build, add_json


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_build(parser)
    add_json(parser)


def _load() -> Run:
    from pipelines.commands.build_dataset import plan

    return plan


VERB = Verb("plan", "what would run, and why", _arguments, _load, SETTINGS)
