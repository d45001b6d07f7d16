"""A stage's ledger: what its parts are, so that a run need not open them. `stages/<stage>-<fp>/ledger.json`.

It is a cache of the parts' footers and sizes: parts it does not name are opened, and a ledger that is damaged, missing
or of an earlier version is made again from the parts.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping

from dataprep.errors import Damaged
from dataprep.files.locations import Location
from dataprep.files.untrusted import parse_json
from dataprep.tables.parts import PartRecord
from dataprep.tables.store import StageRef, Store, atomic_file

_SHA256, _PARTS = '{"sha256": "', '"parts": '  # the file is JSON, and the hash that of the text of its second line


def ledger_path(store: Store, ref: StageRef) -> Location:
    return store.folder(ref) / "ledger.json"


def read_ledger(store: Store, ref: StageRef) -> dict[int, PartRecord]:
    """Part records as they were last written; {} when there is none. Raises Damaged."""
    path = ledger_path(store, ref)
    try:
        text = path.read_text()
        if not text.startswith(_SHA256) and all(isinstance(key, str) for key in parse_json(text).values()):
            return {}  # of an earlier version: part -> key
        said, _, rest = text.removeprefix(_SHA256).partition('",\n' + _PARTS)
        parts = rest.removesuffix("}\n")
        if said != _digest(parts):
            raise ValueError("other content than was written")
        return {int(part): PartRecord(*record) for part, record in parse_json(parts).items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise Damaged(path, f"is damaged: it cannot be read ({error})") from error


def write_ledger(store: Store, ref: StageRef, records: Mapping[int, PartRecord]) -> None:
    parts = json.dumps({part: dataclasses.astuple(record) for part, record in sorted(records.items())})
    with atomic_file(ledger_path(store, ref)) as file:
        file.write(f'{_SHA256}{_digest(parts)}",\n{_PARTS}{parts}}}\n'.encode())


def forget_parts(store: Store, ref: StageRef, parts: Iterable[int]) -> None:
    """Leave out parts that are about to be removed or written again; a damaged ledger goes altogether."""
    going = set(parts)
    try:
        records = read_ledger(store, ref)
    except Damaged:
        ledger_path(store, ref).unlink(missing_ok=True)
        return
    if going & records.keys():
        write_ledger(store, ref, {part: record for part, record in records.items() if part not in going})


def _digest(parts: str) -> str:
    return hashlib.sha256(parts.encode()).hexdigest()
