"""`shhq-hs compare-runs`: evaluated runs side by side."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folders that were evaluated")


def _load() -> Run:
    from pipelines.commands.generator.evaluated_runs import compare_runs

    return lambda options: compare_runs(options.runs)


VERB = Verb("compare-runs", "evaluated runs side by side", _arguments, _load)
