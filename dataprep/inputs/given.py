"""What SOURCE holds when it is one file: a video, an archive of pictures, or a list of paths and URLs."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from dataprep.errors import ConfigError
from dataprep.files.filenames import escape, unescape
from dataprep.files.locations import Location, each, location
from dataprep.files.untrusted import lies_within
from dataprep.inputs.archives import holds_pictures
from dataprep.inputs.lists import Listed, read_list
from dataprep.tables.archive_layout import table_beside
from dataprep.tables.input_rows import Source
from dataprep.tables.layouts import is_tar, is_video
from dataprep.tables.sources import BARRED, Links, Survey


def survey_given(root: Location, given: str, links: Links) -> Survey:
    """Return the inputs of `given`: the name of a video or an archive in the folder `root`, or the path of a list.

    Raises ConfigError for what is no list.
    """
    if is_video(given):
        return Survey([], [], {}, (Source(escape(given), (root / given).stat().st_size, dataset="video"),))
    if is_tar(given):
        beside = table_beside(given)
        there = escape(beside) if (root / beside).is_file() else None
        return Survey([], [], {}, archives=(Source(escape(given), (root / given).stat().st_size, beside=there),))
    if given.lower().endswith(".parquet") and holds_pictures(location(given)):
        name = location(given).name
        if not (root / name).is_file():
            raise ConfigError(f"--root {str(root)!r}: {given} holds the pictures itself; leave --root out")
        return Survey([], [], {}, archives=(Source(escape(name), (root / name).stat().st_size),))
    rows = read_list(location(given), root)
    files = each(root, lambda one: _file(one, root, links), [one for one in rows if one.path])
    return Survey(
        [one for one in files if not is_video(one.path)],
        [],
        {},
        tuple(one for one in files if is_video(one.path)),
        urls=tuple(_source(one) for one in rows if not one.path),
    )


def _source(one: Listed) -> Source:
    return Source(
        one.name, 0, dataset="list", url=one.url, license=one.license, consent=one.consent, said=one.sha256,
        caption=one.caption,
    )  # fmt: skip


def _file(one: Listed, root: Location, links: Links) -> Source:
    """A file of the list as it is there now; what is wrong with it is found when it is read."""
    source, refused, size = _source(one), None, 0
    path = root / unescape(one.path)
    if isinstance(path, Path) and path.is_symlink() and not lies_within(path, Path(str(root))):
        links.out.append(one.path)
        refused = None if links.follow else f"link_outside: {BARRED}"
    with suppress(OSError):
        size = path.stat().st_size
    return Source(**(vars(source) | {"size": size, "refused": refused}))
