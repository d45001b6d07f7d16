"""Croissant's metadata of the shards (JSON-LD, version 1.1): files with hashes, fields from the Arrow metadata.

It lies beside the shards, and every path in it is relative, so that it goes wherever they go. `labels` are the rows of
the parquet twins; `portraits`, `faces` and `alphas` are the pictures in the tars, each with the sample that it is of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from dataprep.cards.facts import Facts
from dataprep.cards.hugging_face import LICENCES, scalar_type
from dataprep.tables.columns import shape_of

_CR = ("citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty", "fileObject",
       "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet",
       "references", "regex", "repeated", "replace", "samplingRate", "separator", "source", "subField",
       "transform")  # fmt: skip
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{name: f"cr:{name}" for name in _CR},
}
_TYPES = {
    "string": "sc:Text", "bool": "sc:Boolean", "float16": "cr:Float16", "float32": "cr:Float32", "uint8": "cr:UInt8",
    "uint16": "cr:UInt16", "uint32": "cr:UInt32", "uint64": "cr:UInt64", "int32": "cr:Int32",
}  # fmt: skip
_FORMATS = {"tar": "application/x-tar", "parquet": "application/x-parquet"}
_LICENCE_URL = "https://spdx.org/licenses/{}.html"
_LABELS = "labels"


def croissant(
    schema: pa.Schema,
    shards: Iterable[Mapping[str, Any]],
    pictures: Mapping[str, str],
    facts: Facts,
    version: str,
    said: Mapping[str, str],
) -> dict[str, Any]:
    """Return the metadata as JSON-LD.

    schema: of the manifest; shards: the entries of the shards' index; pictures: name to suffix of a sample's pictures;
    said: description, limits, consent and collection, as the card has them.
    """
    entries = list(shards)
    tars = [f"{entry['name']}.tar" for entry in entries]
    files = [_file(f"{entry['name']}.{kind}", kind, entry[kind]) for entry in entries for kind in _FORMATS]
    sets = [_set(_LABELS, _FORMATS["parquet"], "*.parquet")]
    sets += [
        _set(f"{name}s", "image/png", f"*.{suffix}") | {"containedIn": [{"@id": tar} for tar in tars]}
        for name, suffix in pictures.items()
    ]
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": "head-shoulder-portraits",
        "description": said["description"],
        "license": [_licence(name) for name in facts.licences] or ["unknown"],
        "version": version,
        "rai:dataCollection": said["collection"],
        "rai:dataLimitations": said["limits"],
        "rai:personalSensitiveInformation": said["consent"],
        "distribution": [*files, *sets],
        "recordSet": [_labels(schema), *(_pictures(f"{name}s", suffix) for name, suffix in pictures.items())],
    }


def _licence(name: str) -> str:
    known = LICENCES.get(name.lower())
    return _LICENCE_URL.format(known) if known else name


def _file(name: str, kind: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{entry['bytes']} B",
        "encodingFormat": _FORMATS[kind],
        "sha256": entry["sha256"],
    }


def _set(name: str, encoding: str, includes: str) -> dict[str, Any]:
    identity = f"{name}-files"
    return {"@type": "cr:FileSet", "@id": identity, "name": identity, "encodingFormat": encoding, "includes": includes}


def _labels(schema: pa.Schema) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": _LABELS,
        "name": _LABELS,
        "description": "Everything that is said of a sample: one row each.",
        "key": {"@id": f"{_LABELS}/sample_id"},
        "field": [_column(field) for field in schema if scalar_type(field.type) in _TYPES],
    }


def _column(field: pa.Field) -> dict[str, Any]:
    about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
    notes = [f"{word}: {about[word]}" for word in ("unit", "frame") if about.get(word, "-") != "-"]
    shape = shape_of(field)
    array = {"cr:isArray": True, "cr:arrayShape": ",".join(map(str, shape))} if shape else {}
    return {
        "@type": "cr:Field",
        "@id": f"{_LABELS}/{field.name}",
        "name": field.name,
        "description": "; ".join([about.get("desc", field.name), *notes]),
        "dataType": _TYPES[scalar_type(field.type)],
        **array,
        "source": {"fileSet": {"@id": f"{_LABELS}-files"}, "extract": {"column": field.name}},
    }


def _pictures(name: str, suffix: str) -> dict[str, Any]:
    files = {"fileSet": {"@id": f"{name}-files"}}
    whose = {**files, "extract": {"fileProperty": "filename"}, "transform": {"regex": rf"(.+)\.{re.escape(suffix)}"}}
    sample = {
        "@type": "cr:Field",
        "@id": f"{name}/sample_id",
        "name": "sample_id",
        "description": "whose picture it is",
        "dataType": "sc:Text",
        "source": whose,
        "references": {"field": {"@id": f"{_LABELS}/sample_id"}},
    }
    picture = {
        "@type": "cr:Field",
        "@id": f"{name}/image",
        "name": "image",
        "description": f"the file {suffix} of a sample",
        "dataType": "sc:ImageObject",
        "source": {**files, "extract": {"fileProperty": "content"}},
    }
    fields = [sample, picture]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "description": f"The {name}.", "field": fields}
