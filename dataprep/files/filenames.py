r"""File names as text and back, and text as people may see it: tables hold UTF-8, file systems hold any bytes.

A byte that is not UTF-8 becomes `\xNN`, a backslash becomes two; all other names, those with line breaks included, are
written as they are. The text gives the name back exactly.
"""

from __future__ import annotations

import os
import re

_ESCAPED = re.compile(r"\\(\\|x[0-9a-f]{2})")


def escape(name: str) -> str:
    """Text of a name as `os.listdir` gives it (undecodable bytes as surrogates)."""
    doubled = name.replace("\\", "\\\\")
    try:
        doubled.encode()
    except UnicodeEncodeError:
        return os.fsencode(doubled).decode(errors="backslashreplace")
    return doubled


def unescape(text: str) -> str:
    """The name that `escape` turned into `text`, fit for `open`."""
    if "\\" not in text:
        return text
    return os.fsdecode(_ESCAPED.sub(_byte, text).encode("utf-8", "surrogateescape"))


def printable(text: str) -> str:
    """One line that steers neither a terminal nor a page.

    Controls (ANSI sequences and line breaks begin with them), marks that turn the direction of writing, and whatever
    else shows nothing of its own are written as their escapes.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """The same of a text whose line breaks are meant."""
    return "\n".join(map(printable, text.split("\n")))


def _byte(match: re.Match[str]) -> str:
    code = match[1]
    return "\\" if code == "\\" else bytes([int(code[1:], 16)]).decode("utf-8", "surrogateescape")
