"""`shhq-hs show`: one image's whole story, as a table and a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow.compute as pc

from dataprep.errors import AssetError, ConfigError
from dataprep.files.filenames import printable
from dataprep.files.locations import Location, matching
from dataprep.files.untrusted import inside, parse_json
from dataprep.models.face.bfm import FaceModel, load_face
from dataprep.pictures.codecs import encode_png
from dataprep.report.page_pictures import read_photograph, source_folder
from dataprep.report.story import Material, draw_story
from dataprep.stages.base import Stage
from dataprep.tables.input_rows import Source, index_row
from dataprep.tables.manifest_files import has_manifest, manifest_metadata, peek_manifest
from dataprep.tables.store import StageRef, Store, atomic_file
from pipelines.engine.index import read_index
from pipelines.paper_stages import MAP_STAGES
from pipelines.text_table import table

_NEAR = 5
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Chapter:
    """What one stage says of the image; `row` is None when the stage has not run on it."""

    stage: type[Stage]
    ref: StageRef | None
    row: Row | None

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def status(self) -> str:
        return "not run" if self.row is None else str(self.row["status"])


def show(out: Path, sample: str, png: Path | None) -> int:
    """Print the table, write the picture (default OUT/report/show/<id>.png); raises ConfigError on no such sample."""
    source = find_sample(read_index(out), sample)
    chapters = read_chapters(Store(out), source)
    release = _manifest_row(out, source.sample_id)
    verdict = _verdict(chapters, release)
    print(f"{printable(source.path)}\n{source.sample_id}\n{printable(verdict)}\n")
    print(table(("stage", "status", "what it found"), _lines(chapters, release)))
    material = _material(out, source, chapters)
    path = png or inside(out, "report", "show", f"{source.sample_id}.png")
    with atomic_file(path) as file:
        file.write(encode_png(draw_story(material, f"{source.path}   {source.sample_id[:12]}", verdict)))
    missing = "" if material.photograph is not None else " (without the photograph: it is gone, changed or unreadable)"
    print(f"\npicture: {path}{missing}")
    return 0


def material_of(out: Path, sample: str) -> Material:
    """All that is known of a sample; raises ConfigError on no such sample."""
    source = find_sample(read_index(out), sample)
    return _material(out, source, read_chapters(Store(out), source))


def find_sample(index: Sequence[Source], sample: str) -> Source:
    """By id, the start of an id (4 characters or more), the path below the source folder, or the end of that path."""
    asked = sample.strip().replace("\\", "/").removeprefix("./")
    if exact := [s for s in index if asked in (s.sample_id, s.path)]:
        return exact[0]
    matches = [s for s in index if len(asked) >= 4 and s.sample_id.startswith(asked.lower())]
    matches = matches or [s for s in index if f"/{s.path}".endswith(f"/{asked}") or asked.endswith(f"/{s.path}")]
    matches = matches or [s for s in index if PurePosixPath(s.path).stem == asked]
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise ConfigError(f"{sample!r} is not unique: it could be {_listed(matches)}; give more of it")
    names = {PurePosixPath(s.path).name: s for s in index} | {s.path: s for s in index}
    near = list(dict.fromkeys(names[name] for name in get_close_matches(asked, list(names), n=_NEAR, cutoff=0.5)))
    hint = f"near it: {_listed(near)}" if near else f"the first of {len(index)}: {_listed(index[:1])}"
    raise ConfigError(f"no sample {sample!r}; give an id, the start of one (4 characters) or an input's path; {hint}")


def read_chapters(store: Store, source: Source) -> list[Chapter]:
    """The sample's row in every map stage, in order."""
    recorded = _manifest_fingerprints(store.root)
    return [_chapter(store, stage, recorded.get(stage.name), source) for stage in MAP_STAGES]


def _chapter(store: Store, stage: type[Stage], fingerprint: str | None, source: Source) -> Chapter:
    ref = StageRef(stage.name, fingerprint) if fingerprint else _newest(store, stage.name)
    if ref is None or not store.part_path(ref, source.part).exists():
        return Chapter(stage, ref, None)
    rows = [row for row in store.rows(ref, source.part) if row["sample_id"] == source.sample_id]
    return Chapter(stage, ref, rows[0] if rows else None)


def _manifest_fingerprints(out: Location) -> dict[str, str]:
    """Which variant of each stage the manifest was made from; empty before there is a manifest."""
    return parse_json(manifest_metadata(out).get("stages", "{}"))


def _newest(store: Store, name: str) -> StageRef | None:
    found = sorted(matching(store.root / "stages", f"{name}-*/stage.json"), key=lambda path: path.stat().st_mtime_ns)
    return StageRef(name, found[-1].parent.name.removeprefix(f"{name}-")) if found else None


def _manifest_row(out: Path, sample_id: str) -> Row | None:
    if not has_manifest(out):
        return None
    names = ["sample_id", "status", "stage", "reason", "message", "split", "shard", "shard_row", "dup_cluster",
             "dup_rank", "flag_label_outlier"]  # fmt: skip
    table = peek_manifest(out, names)
    rows = table.filter(pc.equal(table["sample_id"], sample_id)).to_pylist()
    return rows[0] if rows else None


def _verdict(chapters: Sequence[Chapter], release: Row | None) -> str:
    if release is not None and release["status"] == "ok":
        return f"accepted: {release['split']} shard {release['shard']}, row {release['shard_row']}"
    for name, row in [*((c.name, c.row) for c in chapters), ("manifest", release)]:
        if row is not None and row["status"] not in ("ok", "upstream"):
            return f"{row['status']} at {name}{_because(row)}"
    return "not finished: later stages have not run on it"


def _because(row: Row) -> str:
    reason, message = row.get("reason"), row.get("message")
    return (f", {reason}" if reason else "") + (f": {message}" if message else "")


def _lines(chapters: Sequence[Chapter], release: Row | None) -> list[tuple[str, str, str]]:
    lines = []
    for chapter in chapters:
        for i, text in enumerate(_story(chapter)):
            lines.append((chapter.name, chapter.status, text) if i == 0 else ("", "", text))
    if release is not None:
        lines.append(("manifest", str(release["status"]), _release_text(release)))
    return lines


def _story(chapter: Chapter) -> list[str]:
    row = chapter.row
    if row is None:
        return [""]
    if row["status"] == "upstream":
        return ["not reached"]
    found = chapter.stage.found(row) if _has_columns(chapter.stage, row) else []
    because = [] if row["status"] == "ok" else [_because(row).removeprefix(", ")]
    return [*because, *found] or [""]


def _has_columns(stage: type[Stage], row: Row) -> bool:
    """Whether the stage got far enough to fill its columns."""
    return all(row.get(column.name) is not None for column in stage.columns[:1])


def _release_text(row: Row) -> str:
    if row["status"] == "ok":
        text = f"{row['split']} shard {row['shard']}, row {row['shard_row']}"
    else:
        text = "not in the shards"
    if row["dup_rank"]:
        text += f", near-duplicate cluster {row['dup_cluster']}, rank {row['dup_rank']}"
    return text + (", label outlier" if row["flag_label_outlier"] else "")


def _material(out: Path, source: Source, chapters: Sequence[Chapter]) -> Material:
    row: dict[str, Any] = {}
    for chapter in chapters:
        row |= chapter.row or {}
    return Material(
        row=row,
        read_blob=_blob_reader(Store(out), source, chapters),
        photograph=read_photograph(source_folder(out), index_row(source), out),
        face_model=_face_model(out, next(c.ref for c in chapters if c.name == "face")),
    )


def _blob_reader(store: Store, source: Source, chapters: Sequence[Chapter]) -> Callable[[str], bytes | None]:
    def read(name: str) -> bytes | None:
        for chapter in chapters:
            if chapter.ref and chapter.row and chapter.row.get(f"{name}:offset") is not None:
                return store.blob_reader(chapter.ref, source.part, chapter.row)(name)
        return None

    return read


def _face_model(out: Path, ref: StageRef | None) -> FaceModel | None:
    """The 3DMM, when it is still the file the fit was made with."""
    if ref is None:
        return None
    try:
        description = parse_json((Store(out).folder(ref) / "stage.json").read_text())
        model = load_face()
    except (OSError, ValueError, AssetError):
        return None
    return model if [model.name, model.sha256] in description["stage"]["weights"] else None


def _listed(sources: Sequence[Source]) -> str:
    shown = ", ".join(f"{s.path} ({s.sample_id[:8]})" for s in sources[:_NEAR])
    return shown + (f" and {len(sources) - _NEAR} more" if len(sources) > _NEAR else "")
