"""`shhq-hs view`: the page in which a data set is looked at and put right."""

from __future__ import annotations

import argparse

from dataprep.files.locations import location
from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_out

_EXAMPLES = """\
a server on this machine alone; it prints the address to open, and ends with Ctrl-C:
  shhq-hs view OUT
on another machine: shhq-hs view OUT --port 8717 there, ssh -L 8717:127.0.0.1:8717 HOST here, then its address here
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out(parser)
    add = parser.add_argument
    add("--port", type=int, metavar="N", help="port of 127.0.0.1 (default: the first free one from 8717 on)")
    add("--who", default="", metavar="NAME", help="who marks (default: the user's name on this machine)")
    add("--against", type=location, metavar="OTHER", help="also compare with this data set, picture by picture")


def _load() -> Run:
    from pipelines.viewer.viewing import view

    return lambda options: view(options.out, options.port, options.who, options.against)


VERB = Verb("view", "look at every picture and mark what is wrong, in a browser", _arguments, _load, _EXAMPLES)
