"""`shhq-hs accuracy`: compare labels with ground truth."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out_folder


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out_folder(parser)
    add = parser.add_argument
    add("--truth", type=Path, required=True, help="folder of truth files (docs/truth.md)")
    add("--clip", type=Path, metavar="DIR", help="also track the clip there (samples/clip), against its truth")
    add("--json", type=Path, help="also write the numbers here")
    add("--csv", type=Path, help="also write every error of every sample here")
    add("--people", type=int, default=500, metavar="N", help="made-up people on which body fits are compared (default "
        "500, a few minutes; 0 leaves that out)")  # fmt: skip


def _load() -> Run:
    from pipelines.accuracy.photographs import report

    return lambda options: report(options.out, options.truth, options.json, options.csv, options.people, options.clip)


VERB = Verb("accuracy", "compare labels with ground truth", _arguments, _load)
