"""The pictures in a tar, where each lies in it, and what the tar says of them: webdataset's layout, img2dataset's, too.

Files that belong together share a name up to the first dot: `000012.jpg`, `000012.txt` (a caption), `000012.json`.
Reading goes on behind a damaged place at the next header that is whole: each header has a check sum.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import IO

from dataprep.files.filenames import escape, unescape
from dataprep.files.foreign_files import MAX_BYTES
from dataprep.files.untrusted import leads_below, parse_json
from dataprep.inputs.known_facts import NO_FACTS, PictureFacts, as_text, facts_of, key_of
from dataprep.tables.layouts import is_image, suffix_of

DAMAGED = "damaged_archive"
_BLOCK = 512
_MOST_TEXT_BYTES = 1 << 20  # of a caption or a JSON
_HIDDEN = re.compile(r"(^|/)\.(?!\.?(/|$))")
_NO_HEADER = (tarfile.TarError, RecursionError, ValueError, OverflowError)


@dataclass(frozen=True)
class Member:
    """A picture: its name (text as `filenames.escape` writes it), its bytes' place and digest, or why it is none."""

    name: str
    offset: int = 0
    size: int = 0
    sha256: bytes | None = None
    refused: str | None = None
    facts: PictureFacts = NO_FACTS


@dataclass
class TarMembers:
    """What one reading of an archive found. `flaw` says what is wrong with the archive itself, "" when nothing is;
    `left_out` counts rows without a picture.
    """

    members: list[Member] = field(default_factory=list)
    flaw: str = ""
    left_out: int = 0


def read_members(file: IO[bytes]) -> TarMembers:
    """Read a tar from its start to its end, one picture in memory at a time; raises OSError when it cannot be read."""
    found, texts = TarMembers(), dict[str, PictureFacts]()
    for info in _headers(file, found):
        name = posixpath.normpath(info.name)
        if info.isdir() or _HIDDEN.search(name):
            continue
        if is_image(name):
            found.members.append(_picture(file, info, name))
        elif suffix_of(name) in (".txt", ".json") and info.isreg() and info.size <= _MOST_TEXT_BYTES:
            said = _said(name, _data(file, info))
            texts[key_of(name)] = said.or_else(texts.get(key_of(name), NO_FACTS))
    found.members = [replace(one, facts=texts.get(_key(one), NO_FACTS)) for one in found.members]
    return found


def _key(one: Member) -> str:
    return key_of(unescape(one.name))


def _headers(file: IO[bytes], found: TarMembers) -> Iterator[tarfile.TarInfo]:
    """Every header that is whole. What lies between, and an end without a mark, become the tar's flaw."""
    try:
        tar = tarfile.open(fileobj=file, mode="r:", errors="surrogateescape")  # noqa: SIM115
    except _NO_HEADER:
        found.flaw = "it is no tar file"
        return
    done, in_damage = 0, False  # bytes that were looked at: reading never turns back
    while True:
        try:
            info = tar.next()
        except _NO_HEADER:
            info = None
        if info is not None and info.offset >= done and info.size >= 0:  # a damaged size leads backwards
            done, in_damage = info.offset + _BLOCK, False
            tar.members.clear()  # type: ignore[attr-defined]  # they would be kept for ever
            yield info
            continue
        at = max(tar.offset if info is None else info.offset, done)
        file.seek(at)
        block = file.read(_BLOCK)
        if len(block) < _BLOCK:
            found.flaw = found.flaw or "it ends without the mark of its end: whoever wrote it was stopped"
            return
        if not in_damage and block == bytes(_BLOCK):
            return
        found.flaw, in_damage = "a part of it is damaged", True
        tar.offset = done = at + _BLOCK


def _picture(file: IO[bytes], info: tarfile.TarInfo, name: str) -> Member:
    text = escape(name)
    if not leads_below(name):
        return Member(f"#{info.offset}", refused=f"{DAMAGED}: its name leads out of the archive")
    if not info.isreg():
        return Member(text, refused="unreadable: not a regular file")
    if info.size > MAX_BYTES:
        return Member(text, refused="too_large: the file is larger than 1 GiB")
    data = _data(file, info)
    if len(data) < info.size:
        return Member(text, refused=f"{DAMAGED}: the archive ends in the middle of it")
    return Member(text, info.offset_data, info.size, hashlib.sha256(data).digest())


def _data(file: IO[bytes], info: tarfile.TarInfo) -> bytes:
    file.seek(info.offset_data)
    return file.read(info.size)


def _said(name: str, data: bytes) -> PictureFacts:
    """What the text beside a picture says: a caption, or a JSON with anything in it."""
    text = data.decode("utf-8", "replace")
    if name.endswith(".txt"):
        return PictureFacts(caption=as_text(text))
    try:
        content = parse_json(text)
    except ValueError:
        return PictureFacts()
    return facts_of(content) if isinstance(content, dict) else PictureFacts()
