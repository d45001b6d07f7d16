"""`shhq-hs completion`: what a shell needs to complete verbs, options and file names."""

from __future__ import annotations

import argparse

from pipelines.verbs.base import Run, Verb

_EXAMPLES = """\
  bash   shhq-hs completion bash > ~/.local/share/bash-completion/completions/shhq-hs
  zsh    shhq-hs completion zsh > ~/.zfunc/_shhq-hs        (with fpath+=~/.zfunc before compinit in ~/.zshrc)
  tcsh   shhq-hs completion tcsh > ~/.shhq-hs.csh          (and source it)
"""


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh", "tcsh"), help="whose script to print")


def _load() -> Run:
    from pipelines.commands.completion import print_completion

    return lambda options: print_completion(options.shell, options.parser())


VERB = Verb("completion", "a script that lets your shell complete verbs and options", _arguments, _load, _EXAMPLES)
