"""`shhq-hs review`: what people said of images after looking at them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out

_EXAMPLES = """\
the next run obeys: a rejected image leaves the shards, an accepted one comes in unless a label is missing
  shhq-hs review mark OUT 3f9a0c photos/b.jpg --verdict reject --reason crop_shifted
  shhq-hs review mark OUT --where "q_landmarks < 0.5" --verdict doubt
  shhq-hs review mark OUT --csv marks.csv        columns: sample_id or path, verdict, reason, note
  shhq-hs review mark OUT 3f9a0c --verdict none  takes the mark back
  shhq-hs review list OUT --verdict reject
  shhq-hs review export OUT -o marks.csv
  shhq-hs review import NEW_OUT marks.csv        or another data set's folder
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="the marks, and what they change")
    add_out(listing)
    listing.add_argument("--verdict", default="", metavar="V", help="only accept, reject, doubt or none")
    listing.add_argument("--who", default="", metavar="NAME", help="only marks of this reviewer")
    listing.add_argument("--history", action="store_true", help="every mark there ever was, the oldest first")
    _add_mark(actions)
    exporting = actions.add_parser("export", help="every mark, as CSV")
    add_out(exporting)
    exporting.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="where they go")
    importing = actions.add_parser("import", help="marks of a CSV or of another data set")
    add_out(importing)
    importing.add_argument("marks", type=Path, metavar="FILE", help="what `export` wrote, or a data set's folder")


def _add_mark(actions: Any) -> None:
    marking = actions.add_parser("mark", help="accept, reject or doubt images, or take a mark back")
    add_out(marking)
    add = marking.add_argument
    add("samples", nargs="*", metavar="SAMPLE", help="ids, starts of ids, or paths below the folder of photographs")
    add("--where", default="", metavar="EXPR", help="also images that match, as for `shhq-hs select`")
    add("--csv", type=Path, metavar="FILE", help="also images of this table, with what it says of each")
    add("--verdict", default="", metavar="V", help="accept, reject, doubt or none")
    add("--reason", default="", metavar="WORD", help="short word of why, as in crop_shifted")
    add("--note", default="", metavar="TEXT", help="what else there is to say")
    add("--who", default="", metavar="NAME", help="the reviewer (default: the name of your account)")


def _load() -> Run:
    from pipelines.commands.reviewing.review_marks import run

    return run


VERB = Verb("review", "marks of people who looked at images: list, mark, export, import", _arguments, _load, _EXAMPLES)
