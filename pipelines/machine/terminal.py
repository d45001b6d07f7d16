"""How much is said, and where a copy of it goes: `--quiet`, `--verbose` and `--log-file` of every verb.

Results go to stdout, what happens meanwhile to stderr. There are no colours, so `NO_COLOR` has nothing to turn off.
"""

from __future__ import annotations

import datetime
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, TextIO

from dataprep.errors import ConfigError
from dataprep.files.own_files import open_to_append

_PACKAGES = ("dataprep", "gan", "pipelines")


class LogFile:
    """A file that grows by whole lines, each after its time in UTC."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._half = file, ""

    def add(self, text: str) -> None:
        """Take what was printed; the half of a line waits for its end."""
        *lines, self._half = (self._half + text).split("\n")
        for line in lines:
            now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
            self._file.write(f"{now} {line}\n".encode("utf-8", "backslashreplace").decode())
        self._file.flush()

    def close(self) -> None:
        if self._half:
            self.add("\n")
        self._file.close()


class Terminal:
    """A stream with a copy in a log file; everything but writing is the stream's own.

    Attributes:
        quiet: Progress is not shown. A log file has it all the same.
        log: Where the copy goes; None: nowhere.

    """

    def __init__(self, stream: TextIO, log: LogFile | None, quiet: bool = False) -> None:
        self._stream, self.log, self.quiet = stream, log, quiet

    def write(self, text: str) -> int:
        if self.log:
            self.log.add(text)
        return self._stream.write(text)

    def write_live(self, text: str) -> None:
        """Write what will be erased: no copy of it is of use."""
        self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def spoken(quiet: bool, verbose: bool, log_file: Path | None) -> Iterator[None]:
    """Let the block speak so. Raises ConfigError when the log file cannot be written to."""
    with ExitStack() as stack:
        log = stack.enter_context(_opened(log_file)) if log_file else None
        if log or quiet:
            stack.enter_context(redirect_stderr(Terminal(sys.stderr, log, quiet)))
        if log:
            stack.enter_context(redirect_stdout(Terminal(sys.stdout, log)))
        if verbose or log:
            stack.enter_context(_remarks(sys.stderr if verbose else None, log))
        yield


@contextmanager
def _opened(path: Path) -> Iterator[LogFile]:
    try:
        file = open_to_append(path)
    except OSError as error:
        raise ConfigError(f"--log-file {path} cannot be written: {error.strerror}; name another file") from error
    log = LogFile(file)
    try:
        yield log
    finally:
        log.close()


@contextmanager
def _remarks(stream: TextIO | None, log: LogFile | None) -> Iterator[None]:
    """Hear what our packages tell `logging`; a log file alone hears it, too."""
    handler = _ToBoth(stream, log)
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in _PACKAGES]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)


class _ToBoth(logging.Handler):
    """A stream, which copies to the log file itself, or else the log file."""

    def __init__(self, stream: TextIO | None, log: LogFile | None) -> None:
        super().__init__()
        self._stream, self._log = stream, log

    def emit(self, record: logging.LogRecord) -> None:
        line = self.format(record) + "\n"
        if self._stream:
            print(line, end="", file=sys.stderr)  # whoever stands before the stream now: the live line gives way
        elif self._log:
            self._log.add(line)
