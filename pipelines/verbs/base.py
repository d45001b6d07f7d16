"""What a verb of `shhq-hs` is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Run = Callable[[argparse.Namespace], int]  # from options to the exit status


@dataclass(frozen=True)
class Verb:
    """A command of `shhq-hs`. Its file imports next to nothing, since every start of the program reads all of them.

    Attributes:
        name: As it is typed.
        help: One line for `shhq-hs --help`.
        arguments: Adds what the verb takes to its parser.
        load: Imports what the verb does, once it is asked for, and returns it.
        examples: Stands below the options in the verb's own help, line by line as it is.

    """

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None]
    load: Callable[[], Run]
    examples: str | None = None

    def add_to(self, verbs: Any) -> None:
        """Register the verb with `verbs`, the subparsers of the program."""
        raw = argparse.RawDescriptionHelpFormatter  # keeps the lines of the examples
        parser = verbs.add_parser(self.name, help=self.help, epilog=self.examples, formatter_class=raw)
        self.arguments(parser)
        _add_speech(parser)
        parser.set_defaults(load=self.load)


def _add_speech(parser: argparse.ArgumentParser) -> None:
    """Take how much is said; every verb does."""
    add = parser.add_argument_group("what is said").add_argument
    add("--quiet", action="store_true", help="no progress; results and errors only")
    add("--verbose", action="store_true", help="also tell what is for those who look for a fault")
    add("--log-file", type=Path, metavar="FILE", help="append a copy of all that is said, with times (UTC)")
