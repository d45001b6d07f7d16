"""`shhq-hs people`: who stands in more than one photograph, of one data set or of two."""

from __future__ import annotations

import argparse
from pathlib import Path

from pipelines.verbs.base import Run, Verb


def _arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("out", type=Path, metavar="OUT", help="folder of a data set, or its manifest")
    add("other", type=Path, metavar="OTHER", nargs="?", help="another one: list the people who stand in both")
    add("--cosine", type=float, help="least mean agreement of likenesses (default: manifest.same_person_cosine's)")
    add("--json", type=Path, help="also write who it is, by sample_id, here")


def _load() -> Run:
    from pipelines.commands.shared_people import people

    return lambda options: people(options.out, options.other, options.cosine, options.json)


VERB = Verb("people", "who stands in more than one photograph, of one data set or of two", _arguments, _load)
