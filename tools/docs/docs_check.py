"""Run the commands of the documentation as written: `python -m tools.docs.docs_check FILE...` (`make docs-check`).

Fenced blocks marked `sh` or `console` are run one after another, all of one file in one temporary folder that looks
like a checkout (`samples/`, `Makefile`, packages). `console` blocks run their lines after `$ `. A block is left out
after a line `<!-- no-run: reason -->`; blocks without a language are synopses, and not run.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\S*)\s*$")
_NO_RUN = re.compile(r"^<!-- no-run: .+ -->$")
_OWN = ("build", ".venv", ".git")  # never shared with the checkout
_TOOLS = ("python", "torchrun", "dask", "ruff", "mypy", "pytest")


@dataclass(frozen=True)
class CodeBlock:
    """A fenced block: its language, its text, the file's line of its first fence, and whether it is to be run."""

    language: str
    text: str
    line: int
    runs: bool

    @property
    def script(self) -> str:
        """What the shell gets."""
        if self.language != "console":
            return self.text
        return "\n".join(line[2:] for line in self.text.splitlines() if line.startswith("$ "))


def blocks(text: str) -> Iterator[CodeBlock]:
    """Every fenced block of a Markdown text."""
    inside: list[str] | None = None
    language, start, previous, refused = "", 0, "", False
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if inside is None and fence:
            inside, language, start, refused = [], fence[1], number, bool(_NO_RUN.match(previous))
        elif inside is not None and line == "```":
            yield CodeBlock(language, "\n".join(inside), start, language in ("sh", "console") and not refused)
            inside, previous = None, ""
        elif inside is not None:
            inside.append(line)
        elif line.strip():
            previous = line
    if inside is not None:
        raise ValueError(f"line {start}: the block has no end")


def prepare(folder: Path) -> dict[str, str]:
    """Make `folder` look like a checkout whose `make setup` is done; returns the environment for commands."""
    for entry in ROOT.iterdir():
        if entry.name not in _OWN:
            (folder / entry.name).symlink_to(entry)
    tools = folder / ".venv" / "bin"
    tools.mkdir(parents=True)
    python = shlex.quote(sys.executable)
    scripts = {"shhq-hs": f"{python} -m pipelines.main", "python": python}
    scripts |= {name: shlex.quote(str(Path(sys.executable).with_name(name))) for name in _TOOLS if name != "python"}
    for name, command in scripts.items():
        (tools / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (tools / name).chmod(0o755)
    make = folder / ".venv" / "make"
    make.mkdir()
    (make / "make").write_text('#!/bin/sh\nexec /usr/bin/make -o .venv/.ready "$@"\n')
    (make / "make").chmod(0o755)
    path = os.pathsep.join([str(make), str(tools), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


def run_file(path: Path, contains: str = "") -> list[str]:
    """Run a file's blocks in turn (those that hold `contains`); returns what failed, ending at the first."""
    chosen = [block for block in blocks(path.read_text(encoding="utf-8")) if block.runs and contains in block.text]
    with tempfile.TemporaryDirectory(prefix="shhq-hs-docs-") as name:
        environment = prepare(Path(name))
        for block in chosen:
            began = time.monotonic()
            print(f"{path}:{block.line}\n{block.script}", flush=True)
            command = ["bash", "-euo", "pipefail", "-c", block.script]
            done = subprocess.run(command, cwd=name, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            if done.returncode:
                tail = done.stdout.decode(errors="replace")[-3000:]
                return [f"{path}:{block.line}: status {done.returncode}\n{tail}"]
            print(f"  ok, {time.monotonic() - began:.0f} s", flush=True)
    return []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all files; 1 when a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="Markdown files")
    parser.add_argument("--containing", default="", metavar="TEXT", help="only blocks with this text")
    options = parser.parse_args(arguments)
    failures = [failure for path in options.files for failure in run_file(path, options.containing)]
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
