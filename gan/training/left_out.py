"""What a run leaves out of its shards: images that reviewers had rejected when it began.

The run keeps to it to its end, whatever is marked meanwhile: its images would be drawn in another order, and nobody
could say what it was trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dataprep.errors import StoreError
from dataprep.files.locations import Location
from dataprep.files.untrusted import parse_json, require_sample_ids
from dataprep.tables.review import rejected_in_shards
from dataprep.tables.store import write_json
from gan.training.checkpoints import state_to_go_on_from
from gan.training.ranks import Ranks

LEFT_OUT_FILE = "left-out.json"


def left_out_of(roots: Sequence[Location], out: Path, ranks: Ranks) -> tuple[str, ...]:
    """Return the sorted ids that the run in `out` leaves out; of a new run, those rejected now, in the shards or not.

    Every rank gets what the first one found.
    """
    found = _rejected(roots) if state_to_go_on_from(out) is None else _read(out / LEFT_OUT_FILE)
    return ranks.gathered(found)[0]


def remember_left_out(out: Path, left_out: Sequence[str], ranks: Ranks) -> None:
    """Keep what a run leaves out of its shards, for when it goes on; a run that leaves out nothing has no file."""
    path = out / LEFT_OUT_FILE
    if ranks.is_first and (left_out or path.exists()):
        write_json(path, left_out)


def _rejected(roots: Sequence[Location]) -> tuple[str, ...]:
    return tuple(sorted(frozenset[str]().union(*map(rejected_in_shards, roots))))


def _read(path: Path) -> tuple[str, ...]:
    """Return what a run remembered; nothing where it had nothing to remember."""
    if not path.exists():
        return ()
    try:
        found = tuple(parse_json(path.read_text()))
        require_sample_ids(found, path)
    except (OSError, ValueError, TypeError, StoreError) as error:
        raise StoreError(f"{path} cannot be read ({error}): it says what the run leaves out; copy it again, or begin "
                         "in another folder") from error  # fmt: skip
    return found
