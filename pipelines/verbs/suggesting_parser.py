"""A parser whose errors name what may have been meant: `statsu` for `status`, `--worker` for `--workers`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, NoReturn

from dataprep.files.filenames import printable


class SuggestingParser(argparse.ArgumentParser):
    """`argparse`'s, for the program and all its verbs: subparsers take the class of their parser."""

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is none of the choices; says the nearest first."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        said = f"there is no {printable(repr(value))}{_meant(str(value), known)}; there are: {', '.join(known)}"
        raise argparse.ArgumentError(action, said)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; unknown options are the affair of the verb that knows its own."""
        options, rest = super().parse_known_args(args, namespace)
        if unknown := [word for word in rest if word.startswith("--")]:
            self._refuse(unknown[0].split("=")[0])
        return options, rest

    def _refuse(self, option: str) -> NoReturn:
        near = _meant(option, self._option_string_actions)
        self.error(f"there is no option {printable(option)}{near}; all of them: {self.prog} --help")


def _meant(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word, list(known), n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""
