"""`shhq-hs animate`: from options to videos, stills and meshes of people."""

from __future__ import annotations

import argparse
import dataclasses
import sys

import torch

from dataprep.errors import ConfigError
from gan.animation.animate import animate
from gan.animation.animation_request import Animation
from pipelines.engine.progress import beating
from pipelines.machine.resources import cores


def run(options: argparse.Namespace) -> int:
    """Animate people of a generator; returns the exit status."""
    torch.set_num_threads(max(1, options.threads or cores()))
    names = [field.name for field in dataclasses.fields(Animation)]
    given = {name: getattr(options, name) for name in names}
    given |= {"seeds": _numbers(options.seeds, "--seeds")}
    given |= {name: tuple(given[name].split(",")) for name in ("kinds", "views")}
    with beating("pieces") as begin:
        remarks = animate(Animation(**given), begin)
    for remark in remarks:
        print(f"note: {remark}", file=sys.stderr)
    print(f"{options.out}: {', '.join(given['kinds'])} of seeds {options.seeds}")
    return 0


def _numbers(text: str, option: str) -> tuple[int, ...]:
    """0,3 or 0-7 as numbers."""
    numbers: list[int] = []
    for word in text.split(","):
        first, _, last = word.strip().partition("-")
        if not first.isdigit() or (last and not last.isdigit()):
            raise ConfigError(f"{option} {text}: expected numbers and ranges such as 0,3 or 0-7")
        numbers += range(int(first), int(last or first) + 1)
    return tuple(numbers)
