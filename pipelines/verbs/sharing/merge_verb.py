"""`shhq-hs merge`: one data set from several."""

from __future__ import annotations

import argparse

from dataprep.files.locations import location
from pipelines.verbs.base import Run, Verb

_EXAMPLES = """\
an input that is in several (same path, same bytes) is kept once. Splits stay; who is for validation in one data set is
left out of the training of the others. A, B and C may be trained on, verified, exported; `run` is for A and B.
  shhq-hs merge A B --out C                  tars are linked: no picture is stored twice
  shhq-hs merge A B --out C --copy           shards of their own, filled anew
  shhq-hs merge s3://bucket/A B --out C --copy      of an object store, or of another disk
  shhq-hs merge A B --out C --allow superres other settings of that stage are meant
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("data", nargs="+", type=location, metavar="OUT", help="folders or s3:// URLs of data sets, two or more; the "
        "first wins")  # fmt: skip
    add("--out", dest="target", type=location, required=True, metavar="DIR", help="new folder")
    add("--allow", default="", metavar="S[,S]", help="stages whose settings, versions or models may differ, or `all`")
    add("--copy", action="store_true", help="copy the pictures into new shards (default: link the tars)")
    add("--keep-across-splits", action="store_true", help="keep training samples of people whom another data set has "
        "for validation")  # fmt: skip


def _load() -> Run:
    from pipelines.commands.merge import merge

    return lambda options: merge(
        options.data, options.target, options.allow, options.copy, options.keep_across_splits
    )  # fmt: skip


VERB = Verb("merge", "one data set from several", _arguments, _load, _EXAMPLES)
