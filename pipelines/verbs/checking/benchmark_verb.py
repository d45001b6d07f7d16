"""`shhq-hs benchmark`: landmarks and heads against public benchmarks (docs/truth.md)."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, metavar="DIR", help="pictures with .mat of AFLW2000-3D or iBUG's .pts beside them")
    add("--json", type=Path, help="also write the numbers here")
    add("--csv", type=Path, help="also write a row for every annotated face here")


def _load() -> Run:
    from pipelines.accuracy.benchmarks import benchmark

    return lambda options: benchmark(options.folder, options.json, options.csv)


VERB = Verb("benchmark", "landmarks and heads against public benchmarks (docs/truth.md)", _arguments, _load)
