"""`shhq-hs completion`: the script of a shell, written from the parser by shtab."""

from __future__ import annotations

import argparse
from pathlib import Path

import shtab

from dataprep.files.locations import location

_PLACES = (Path, location)


def print_completion(shell: str, parser: argparse.ArgumentParser) -> int:
    """Print the script; returns 0."""
    _name_places(parser)
    print(shtab.complete(parser, shell=shell))
    return 0


def _name_places(parser: argparse.ArgumentParser) -> None:
    """Let what takes a file or a folder be completed by their names, in all verbs."""
    for action in parser._actions:
        if action.type in _PLACES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                _name_places(verb)
