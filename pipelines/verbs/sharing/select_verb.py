"""`shhq-hs select`: rows that match an expression."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb

_EXAMPLES = """\
an expression over the manifest's columns (angles in radians):
  shhq-hs select OUT "abs(degrees(yaw)) < 20 and q_sharpness > 0.5" -o frontal.parquet
  shhq-hs select OUT "split == 'train' and not flag_label_outlier" -o clean.parquet
  shhq-hs select OUT "license in ['cc0', 'cc-by'] and bfm_exp[0] > 1" -o smiles.parquet
then: shhq-hs shards build OUT --subset frontal.parquet --out DIR
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder of the data set, or a manifest")
    add("expression", metavar="EXPR", help="for example: abs(yaw) < 0.35 and q_sharpness > 0.5")
    add("-o", "--output", type=Path, required=True, metavar="FILE", help="where the rows go (parquet)")


def _load() -> Run:
    from pipelines.commands.select_rows import select

    return lambda options: select(options.out, options.expression, options.output)


VERB = Verb("select", "rows that match an expression", _arguments, _load, _EXAMPLES)
