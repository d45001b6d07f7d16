"""`shhq-hs retry`: let the next run compute failed images again."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb
from pipelines.verbs.shared_options import add_choice, add_out


def _arguments(parser: argparse.ArgumentParser) -> None:
    add_out(parser)
    add_choice(parser, statuses="error,timeout,crash")


def _load() -> Run:
    from pipelines.commands.retry import retry

    return lambda options: retry(options.out, options.stage, options.status, options.reason)


VERB = Verb("retry", "let the next run compute failed images again", _arguments, _load)
