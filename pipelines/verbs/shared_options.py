"""Arguments that several verbs take."""

from __future__ import annotations

import argparse
from pathlib import Path

from dataprep.files.locations import location
from pipelines.config_file import STAGES, add_config_argument

OUT_HELP = "folder or s3:// URL of the data set"
SETTINGS = """\
parameters (--set stage.param=value, repeatable) are the fields of each stage; `shhq-hs params` lists them.
examples:
  --set superres.model=span             a small network: fast previews
  --set superres.precision=float32      the same portraits from every CPU; bfloat16 takes less time
  --set body.method=map                 the likeliest body, without EFT's polish
"""


def add_out(parser: argparse.ArgumentParser) -> None:
    """Take the data set, wherever it lies."""
    parser.add_argument("out", type=location, metavar="OUT", help=OUT_HELP)


def add_out_folder(parser: argparse.ArgumentParser) -> None:
    """Take the data set; it must be a folder."""
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")


def add_build(parser: argparse.ArgumentParser) -> None:
    """Take what a build goes by: photographs, where the data set lies, who works, settings."""
    add = parser.add_argument
    add("source", type=location, metavar="SOURCE", help="folder or s3:// URL of photographs, videos and archives, one "
        "of them, or a list (.csv, .parquet) of paths and URLs (docs/inputs.md); read only, any layout")  # fmt: skip
    add("--out", type=location, required=True, metavar="DIR", help=OUT_HELP)
    add("--root", type=location, metavar="DIR", help="folder that a list's paths begin at (default: the list's own)")
    add("--limit", type=int, metavar="N", help="a first look: at most N inputs, drawn by their names")
    add("--sample", type=float, metavar="FRACTION", help="a first look: this part of the inputs, drawn by their names")
    add("--until", metavar="STAGE", help="stop after this stage")
    add("--follow-links", action="store_true", help="also read links that lead out of SOURCE")
    add("--workers", default="auto", help="worker processes: a number, or auto = one per core (default)")
    add("--cluster", default="local", help="local (default), serial (no dask), tls://host:port (docs/clusters.md), "
        "tcp://host:port, file:scheduler.json")  # fmt: skip
    add_set(parser)


def add_json(parser: argparse.ArgumentParser) -> None:
    """Let a command print what it found for programs."""
    parser.add_argument("--json", action="store_true", help="print one JSON document instead, for programs")


def add_set(parser: argparse.ArgumentParser) -> None:
    """Take parameters of stages, typed or from a file."""
    parser.add_argument("--set", action="append", default=[], metavar="STAGE.PARAM=VALUE", help="change a parameter")
    add_config_argument(parser, STAGES)


def add_choice(parser: argparse.ArgumentParser, statuses: str) -> None:
    """Take which lost images are meant; `statuses` holds where nothing is said, "" for all."""
    add = parser.add_argument
    add("--stage", default="", metavar="S[,S]", help="only rows that these stages lost")
    default = statuses or "all"
    add("--status", default=statuses, metavar="X[,X]", help=f"of rejected, error, timeout, crash (default: {default})")
    add("--reason", default="", metavar="R[,R]", help="only rows with these reasons")
