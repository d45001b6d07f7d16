"""Commands of a person who owns a data set: compare, select, shards build, export, import."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dataprep.errors import ConfigError

_SELECT = """\
an expression over the manifest's columns (angles in radians):
  shhq-hs select OUT "abs(degrees(yaw)) < 20 and q_sharpness > 0.5" -o frontal.parquet
  shhq-hs select OUT "split == 'train' and not flag_label_outlier" -o clean.parquet
  shhq-hs select OUT "license in ['cc0', 'cc-by'] and bfm_exp[0] > 1" -o smiles.parquet
then: shhq-hs shards build OUT --subset frontal.parquet --out DIR
"""


def add_commands(verbs: Any) -> None:
    """Register the commands; modules are imported by the command that needs them."""
    raw = argparse.RawDescriptionHelpFormatter
    compare = verbs.add_parser("compare", help="two versions of a data set: what came, went and changed")
    compare.add_argument("old", type=Path, metavar="OLD", help="folder of the earlier data set, or its manifest")
    compare.add_argument("new", type=Path, metavar="NEW", help="folder of the later data set, or its manifest")
    compare.add_argument("--json", type=Path, help="also write the numbers here")
    compare.set_defaults(run=_compare)

    select = verbs.add_parser("select", help="rows that match an expression", epilog=_SELECT, formatter_class=raw)
    select.add_argument("out", type=Path, metavar="OUT", help="folder of the data set, or a manifest")
    select.add_argument("expression", metavar="EXPR", help="for example: abs(yaw) < 0.35 and q_sharpness > 0.5")
    select.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where the rows go (parquet)")
    select.set_defaults(run=_select)

    shards = verbs.add_parser("shards", help="shards of a part of a data set")
    build = shards.add_subparsers(required=True, metavar="ACTION").add_parser("build", help="from a chosen subset")
    build.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    build.add_argument("--subset", type=Path, required=True, metavar="FILE", help="what `shhq-hs select` wrote")
    build.add_argument("--out", dest="target", type=Path, required=True, metavar="DIR", help="folder for the shards")
    build.set_defaults(run=_build_shards)

    export = verbs.add_parser("export", help="images and labels as plain files: EG3D's layout, or PNG and CSV")
    export.add_argument("out", type=Path, metavar="OUT", help="folder of the data set")
    export.add_argument("--out", dest="target", type=Path, required=True, metavar="DIR", help="new folder")
    export.add_argument("--layout", default="eg3d", help="eg3d (default) or plain")
    export.add_argument("--split", default="train", help="train (default), val or all")
    export.set_defaults(run=_export)

    handout = verbs.add_parser("import", help="the authors' own SHHQ-HS, for training with this package")
    handout.add_argument("source", type=Path, nargs="?", metavar="SOURCE", help="folder of the hand-out")
    handout.add_argument("--out", type=Path, metavar="DIR", help="new folder for manifest and shards")
    handout.add_argument("--field", action="append", default=[], metavar="NAME=THEIRS", help="name of a label field")
    handout.add_argument("--fields", action="store_true", help="print every assumed field, and stop")
    handout.add_argument("--body", default="SMPL_NEUTRAL.pkl", metavar="FILE", help="body model of the coefficients")
    handout.add_argument("--face", default="BFM_model_front.mat", metavar="FILE", help="face model of the coefficients")
    handout.add_argument("--val-fraction", type=float, default=0.05, metavar="F", help="validation split (0.05)")
    handout.set_defaults(run=_import)


def _compare(options: argparse.Namespace) -> int:
    from pipelines.commands.compare import compare

    return compare(options.old, options.new, options.json)


def _select(options: argparse.Namespace) -> int:
    from pipelines.commands.subset import select

    return select(options.out, options.expression, options.output)


def _build_shards(options: argparse.Namespace) -> int:
    from pipelines.commands.subset import build_shards

    return build_shards(options.out, options.subset, options.target)


def _export(options: argparse.Namespace) -> int:
    from pipelines.commands.export import export

    return export(options.out, options.target, options.layout, options.split)


def _import(options: argparse.Namespace) -> int:
    from pipelines.commands.import_handout import import_handout, print_fields

    if options.fields:
        return print_fields()
    if options.source is None or options.out is None:
        raise ConfigError("import needs SOURCE and --out DIR; see what is expected with: shhq-hs import --fields")
    if not 0 <= options.val_fraction <= 1:
        raise ConfigError(f"--val-fraction {options.val_fraction}: expected a number from 0 to 1")
    return import_handout(options.source, options.out, options.field, options.body, options.face, options.val_fraction)
