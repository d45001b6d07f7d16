"""The data set card: README.md beside the shards, and the same one above them. Numbers, limits, and how to read it.

The Hub shows it, `datasets` reads its head, and people read the rest. No time, host or path is in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pyarrow as pa

from dataprep.cards.facts import Facts, Shares
from dataprep.cards.hugging_face import SPLITS, front_matter
from dataprep.wording import plural

# A card that lacks this line is somebody's own and is left alone.
MARK = "<!-- written by shhq-hs; take this line out to keep what you change here -->"
_SCORES_SHOWN = 3  # decimals
SAID = {
    "description": (
        "Head-shoulder portraits cut from photographs of people, 512 x 512 on white, with a crop of the face, a soft "
        "mask, and per portrait the camera, SMPL's pose and shape, 3DMM coefficients, 68 landmarks, 52 blendshapes and "
        "quality scores. Built with shhq-hs in the manner of AniPortraitGAN's SHHQ-HS."
    ),
    "collection": (
        "Photographs were found in one folder. Each went through the same stages: person and face detection, a body "
        "fit, a crop around head and shoulders, super-resolution, matting, a face fit, camera labels, likeness and "
        "quality scores. What a rule refused is left out. Unless the settings said otherwise, of near-duplicates one "
        "is kept and nobody stands in both splits."
    ),
    "limits": (
        "All labels are made by machines and nobody checked them by hand. Body shape and depth from one photograph are "
        "guesses; texture and light coefficients (`bfm_tex`, `bfm_gamma`) have low confidence; skin tone moves with "
        "the light of the photograph. Where a portrait is larger than its photograph showed it, its detail comes from "
        "a super-resolution network (`upsampling` says by how much). Coefficients mean something with the named model "
        "files alone. Poses, faces and skins are as uneven as the photographs were: see the shares below."
    ),
    "consent": (
        "The pictures show people. Nothing in these files says that they agreed to be shown, or to what; that is for "
        "whoever publishes or trains to find out, and the terms of the photographs (`license`) do not answer it. "
        "`source_path` names the photograph and `person` groups those of one person, so that a person who asks can be "
        "taken out. The column `likeness` of the parquet files is made to tell who is who. In many places that is "
        "biometric data: think before you publish it. The tars do not hold it."
    ),
}  # fmt: skip

_TWINS = (
    "Beside each tar lies a parquet file with the same samples in the same order: every column of the manifest, and "
    "the place, size and sha256 of each file in the tar. A column's unit, frame, shape and meaning stand in its Arrow "
    "metadata, and in `croissant.json`. Vectors have fixed sizes, nested as their shape says; an unknown one is NaN."
)
_WITHOUT_ONE = """```sh
shhq-hs select OUT "person != 'ID'" -o kept.parquet
shhq-hs shards build OUT --subset kept.parquet --out KEPT
```"""


def dataset_card(
    fields: Iterable[pa.Field], pictures: Mapping[str, str], facts: Facts, members: Mapping[str, str], folder: str
) -> str:
    """Return the card's text.

    fields: of a sample's JSON; pictures: name to suffix; members: suffix to meaning, for the table of files; folder: of
    the shards, seen from the card, "" or with a slash at its end.
    """
    parts = [
        front_matter(fields, pictures.values(), facts, folder),
        MARK,
        "# Head-shoulder portraits with camera, body and face labels",
        SAID["description"],
        _contents(facts),
        "## What is in it",
        _table(("file of a sample", "holds"), [(f"`<sample_id>.{name}`", desc) for name, desc in members.items()]),
        _TWINS,
        "## Read it",
        _reading(facts, folder),
        "## Numbers",
        _numbers(facts),
        "## How it was made",
        SAID["collection"],
        _table(("labels of", "model", "sha256 of its file"), facts.models),
        "## Limits",
        SAID["limits"],
        "## People and consent",
        SAID["consent"],
        "Without one person (`ID` is a value of the column `person`):",
        _WITHOUT_ONE,
    ]  # fmt: skip
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _contents(facts: Facts) -> str:
    splits = ", ".join(f"{count} in `{SPLITS[name]}`" for name, count in facts.splits)
    people = f" of {facts.people} {plural(facts.people, 'person', 'people')}" if facts.people else ""
    terms = ", ".join(f"`{name}`" for name in facts.licences) or "not named"
    return (
        f"{facts.samples} {plural(facts.samples, 'portrait')}{people} ({splits}), of {facts.photographs} "
        f"{plural(facts.photographs, 'photograph')}. Terms of the photographs: {terms}."
    )


def _reading(facts: Facts, folder: str) -> str:
    split, _ = facts.splits[0] if facts.splits else ("train", 0)
    first = f"{folder}{split}-00000"
    return f"""With `datasets`, whole or streamed, by the path of this card's folder or its name on the Hub:

```python
from datasets import load_dataset
from pathlib import Path

sample = next(iter(load_dataset(str(Path.cwd()), split="{SPLITS[split]}", streaming=True)))
print(sample["portrait.png"].size, sample["json"]["camera_pitch_yaw"])
```

With webdataset:

```python
import webdataset

sample = next(iter(webdataset.WebDataset("{first}.tar", shardshuffle=False).decode("pil")))
print(sample["__key__"], sample["portrait.png"].size, sample["json"]["yaw"])
```

Labels alone, with polars and with DuckDB, which takes shapes by a cast:

```python
import polars

print(polars.read_parquet("{first}.parquet")["landmarks68"].to_numpy().shape)
```

```python
import duckdb

print(duckdb.sql("SELECT landmarks68::FLOAT[2][68] FROM '{first}.parquet'").fetchall()[0])
```

`manifest.parquet` has a row for every photograph, lost ones too, and therefore lists without a size:
`numpy.stack(table["landmarks68"].drop_null().to_pylist()).reshape(-1, 68, 2)`. mlcroissant
keeps unpacked tars by their names: set `CROISSANT_CACHE` for each data set. Megatron-Energon reads the tars after

```sh
energon prepare FOLDER --non-interactive --split-parts 'train:train-.*' --split-parts 'val:val-.*' \\
  --sample-type CaptioningSample --field-map '{{"image": "portrait.png", "caption": "json"}}'
```"""


def _numbers(facts: Facts) -> str:
    lost = [(stage, reason, count) for stage, reason, count in facts.lost]
    scores = [
        (f"`{one.name}`", one.desc.replace("|", "\\|"), *(f"{value:.{_SCORES_SHOWN}g}" for value in one.percentiles))
        for one in facts.scores
    ]
    tables = [
        _table(("lost in", "for", "photographs"), lost) if lost else "",
        *(_shares(one, facts.samples) for one in facts.shares),
        _table(("score", "means", "5%", "median", "95%"), scores) if scores else "",
    ]
    return "\n\n".join(table for table in tables if table)


def _shares(shares: Shares, samples: int) -> str:
    cells = [f"{count} ({count / max(samples, 1):.0%})" for _, count in shares.bins]
    return _table((f"{shares.name}, {shares.unit}", *(name for name, _ in shares.bins)), [("portraits", *cells)])


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    names = list(head)
    lines = [f"| {' | '.join(names)} |", f"|{' --- |' * len(names)}"]
    return "\n".join(lines + [f"| {' | '.join(map(str, row))} |" for row in rows])
