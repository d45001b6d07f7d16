"""The head of a data set card: which files are the data set, and the types of what they hold, for `datasets`.

All configurations of a card are read by one builder, so that there is one: the tars, by its webdataset builder. Without
the types it would guess them from the first samples, where a label may be null.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import yaml

from dataprep.cards.facts import Facts
from dataprep.tables.columns import innermost, shape_of

SPLITS = {"train": "train", "val": "validation"}  # of our shards' names, and what users of `datasets` type
# Terms that the Hub knows by these words, and SPDX by those; all others are `other` with their own name.
LICENCES = {
    "cc0-1.0": "CC0-1.0", "cc-by-4.0": "CC-BY-4.0", "cc-by-sa-4.0": "CC-BY-SA-4.0", "cc-by-nd-4.0": "CC-BY-ND-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0", "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0", "cc-by-nc-nd-4.0": "CC-BY-NC-ND-4.0",
    "pddl": "PDDL-1.0", "odbl": "ODbL-1.0", "odc-by": "ODC-By-1.0", "apache-2.0": "Apache-2.0", "mit": "MIT",
}  # fmt: skip
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def front_matter(fields: Iterable[pa.Field], pictures: Iterable[str], facts: Facts, folder: str) -> str:
    """Return the YAML of a card.

    fields: of a sample's JSON; pictures: the suffixes of a sample's pictures; folder: of the shards, seen from the
    card, "" or with a slash at its end.
    """
    licences = facts.licences
    known = [licence.lower() for licence in licences]
    named = {} if len(known) == 1 and known[0] in LICENCES else {"license_name": ", ".join(licences) or "unknown"}
    content = {
        "pretty_name": "Head-shoulder portraits with camera, body and face labels",
        "license": "other" if named else known[0],
        **named,
        "size_categories": [next((word for limit, word in _SIZES if facts.samples < limit), "n>1M")],
        "task_categories": ["unconditional-image-generation", "keypoint-detection"],
        "tags": ["portraits", "3D-aware generation", "SMPL", "3DMM", "webdataset"],
        "configs": [{
            "config_name": "default",
            "data_files": [{"split": SPLITS[split], "path": f"{folder}{split}-*.tar"} for split, _ in facts.splits],
        }],
        "dataset_info": {
            "config_name": "default",
            "features": [
                *({"name": name, "dtype": "image"} for name in pictures),
                {"name": "json", "struct": [_feature(field) for field in fields]},
                {"name": "__key__", "dtype": "string"},
                {"name": "__url__", "dtype": "string"},
            ],
        },
    }  # fmt: skip
    return f"---\n{yaml.safe_dump(content, sort_keys=False, width=120)}---\n"


def _feature(field: pa.Field) -> dict[str, Any]:
    return {"name": field.name, **_list_of(scalar_type(field.type), shape_of(field))}


def _list_of(dtype: str, shape: tuple[int, ...]) -> dict[str, Any]:
    """Name a type as `datasets` writes it: lists of lists, each with its length."""
    if not shape:
        return {"dtype": dtype}
    inner = _list_of(dtype, shape[1:])
    return {"list": inner["dtype"] if list(inner) == ["dtype"] else inner, "length": shape[0]}


def scalar_type(kind: pa.DataType) -> str:
    """Return the name of a column's type, or of the numbers in its arrays, as Arrow's and NumPy's users write it."""
    kind = innermost(kind)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return {"float": "float32", "double": "float64", "halffloat": "float16"}.get(str(kind), str(kind))
