"""The command that goes on where a run stopped, as its user typed it."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from dataprep.errors import AssetError, ClusterLost, Unreachable, Unwritable
from dataprep.files.locations import Location
from dataprep.files.untrusted import parse_json
from dataprep.tables.store import atomic_file, write_json


def command_line(arguments: Sequence[str]) -> str:
    """`arguments` of the command line as one line for a shell."""
    program = Path(sys.argv[0])
    found = program.name == "shhq-hs" and shutil.which("shhq-hs") is None
    line = shlex.join([str(program) if found else "shhq-hs", *arguments])
    return line.encode("utf-8", "backslashreplace").decode()


@contextmanager
def hint(command: str) -> Iterator[None]:
    """Print `command` to stderr when the block ends early for a reason that leaves a data set to go on with."""
    try:
        yield
    except (Unwritable, Unreachable, ClusterLost, AssetError, KeyboardInterrupt):
        print(f"\nto resume, when that is fixed: {command}", file=sys.stderr)
        raise


def print_stopped(out: Location, why: str, interrupted: bool, command: str) -> int:
    """What came of a run that was stopped, and how to go on; returns the exit status."""
    print(f"stopped: {why}; finished parts are kept")
    if not interrupted:
        print(f"  to see what failed:             shhq-hs errors {out} --status error,crash,timeout --traceback")
        print(f"  when fixed, to compute again:   shhq-hs retry {out}")
        print(f"  to accept that many failures:   {command} --max-error-fraction 1")
    print(f"to resume: {command}")
    return 130 if interrupted else 1


def remember(out: Location, command: str, config: bytes) -> None:
    """Keep the command of the latest run below `out`, and all that it goes by; nothing leaves the earlier."""
    if command:
        write_json(out / "runs" / "command.json", command)
    if config:
        with atomic_file(out / "runs" / "config.toml") as file:
            file.write(config)


def command_of(out: Location) -> str:
    """The command of the latest run, or how such a command looks.

    People type what we print, and the file may be somebody else's: it is read as arguments of ours, and quoted anew.
    """
    with suppress(OSError, ValueError):
        program, *arguments = shlex.split(str(parse_json((out / "runs" / "command.json").read_text())))
        if Path(program).name == "shhq-hs" and all(map(str.isprintable, arguments)):
            return command_line(arguments)
    return f"shhq-hs run SOURCE --out {shlex.quote(str(out))}"
