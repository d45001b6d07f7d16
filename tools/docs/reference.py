"""Write docs/reference/ from the code: `python -m tools.docs.reference [FOLDER]` (`make docs`)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataprep.settings import Setting, settings_of
from dataprep.stages.base import EVERY_STAGE, Step
from dataprep.stages.manifest import OWN_COLUMNS
from dataprep.tables.columns import Column
from dataprep.tables.labels import LABELS, Label
from dataprep.tables.store import ROW_COLUMNS
from gan.presets import PRESETS, Preset, flat
from pipelines.main import make_parser
from pipelines.paper_stages import BEFORE, MAP_STAGES, STEPS

HELP_WIDTH = 110  # columns of a --help text, whatever the terminal is
_NOTE = "<!-- written by `make docs` from the code; changes here are lost -->\n"
_SOURCES = """\
`paper`: stated there. `released`: read off the authors' inference code. `assumed`: published nowhere. Any entry changes
with `--set name=value`; `shhq-hs train --preset NAME --print` prints a whole preset.
"""


def pages() -> dict[str, str]:
    """File name and text of every page."""
    return {"columns.md": columns_page(), "settings.md": settings_page(), "commands.md": commands_page()}


def write(folder: Path) -> list[Path]:
    """Write the pages; returns those that changed."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for name, text in pages().items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def columns_page() -> str:
    """Every column of the manifest, by the stage that writes it, then what stays in the part files."""
    parts = [
        "# Columns of the manifest",
        _NOTE + "One row for every input. Arrays are flat lists, row-major, of the given shape; columns of stages that "
        "a row did not reach are null.\nEvery column carries unit, frame, shape and meaning in its Arrow metadata, too "
        "([how to read them](../howto.md#read-the-labels)). Frames: [frames.md](../frames.md).",
        "## manifest: the row itself",
        _table(_COLUMN_HEAD, (_column(column) for column in OWN_COLUMNS)),
    ]
    own = {column.name for column in (*ROW_COLUMNS, *OWN_COLUMNS)}
    for stage in MAP_STAGES:
        released = [column for column in stage.columns if column.released and column.name not in own]
        parts += [f"## {stage.name}", _table(_COLUMN_HEAD, map(_column, released))]
    kept = [(stage.name, column) for stage in MAP_STAGES for column in stage.columns if not column.released]
    images = [(stage.name, blob) for stage in MAP_STAGES for blob in stage.blobs]
    parts += ["## Only in the part files", "Left out of the manifest; `OUT/stages/<stage>-<fingerprint>/`."]
    if kept:
        parts.append(_table(("stage", *_COLUMN_HEAD), ((stage, *_column(column)) for stage, column in kept)))
    parts.append(_table(("stage", "image"), ((stage, f"`{blob}`") for stage, blob in images)))
    parts += ["## Labels", _LABELS_NOTE, _table(_LABEL_HEAD, map(_label, LABELS))]
    return _joined(parts)


_LABELS_NOTE = """\
What is done with the columns that are labels (`dataprep/tables/labels.py`). Mirrored: what training makes of it in a
mirrored picture; empty: training does not read it. Drawn: labels of one group are drawn together, from one row. Cut:
robust deviations beyond which a row is not drawn. Range: beyond it the report speaks of a fault."""
_LABEL_HEAD = ("label", "mirrored", "drawn", "cut", "range", "also in")


def _label(label: Label) -> tuple[str, ...]:
    drawn = (label.group.value, f"{label.outlier_cut:g}") if label.group else ("", "")
    allowed = "{:.4g} to {:.4g}".format(*label.allowed) if label.allowed else ""
    places = {"shards' JSON": label.in_shards, "hand-out": label.in_handout, "track": label.in_track,
              "EG3D": label.in_eg3d, "index's statistics": label.statistics}  # fmt: skip
    carried = ", ".join(place for place, there in places.items() if there)
    return f"`{label.name}`", label.mirrored.value if label.mirrored else "", *drawn, allowed, carried


_COLUMN_HEAD = ("column", "type", "shape", "unit", "frame", "meaning")


def _column(column: Column) -> tuple[str, ...]:
    shape = "x".join(map(str, column.shape)) or "scalar"
    kind = str(column.type).replace("dictionary<values=string, indices=int32, ordered=0>", "string, by code")
    return f"`{column.name}`", kind, shape, column.unit, column.frame, column.desc


def settings_page() -> str:
    """Every parameter of the stages and every entry of the training presets."""
    parts = [
        "# Settings",
        _NOTE + "## Stages",
        "`--set stage.parameter=value`, repeatable; `shhq-hs params` prints them. A changed parameter reruns its stage "
        "and those below it.",
    ]
    for step in (*BEFORE, *STEPS):
        rows = [_parameter(one) for one in settings_of(step, f"{step.name}.")]
        reads = ", ".join(_requires(step)) or (
            "SOURCE; before the first stage" if step in BEFORE else "the photographs"
        )
        parts.append(f"### {step.name}\n\n{_summary(step)}\n\nReads: {reads}.")
        parts.append(_table(("parameter", "type", "default", "meaning"), rows) if rows else "No parameters.")
    parts += ["## Presets of training", _SOURCES]
    for title, names in (("Stage 1", _presets(1)), ("Stage 2", _presets(2))):
        parts += [f"### {title}", _preset_table(names)]
    parts += ["### Ablations", _table(("preset", "differs from `paper-stage1` in"), _ablations())]
    return _joined(parts)


def _requires(step: type[Step]) -> tuple[str, ...]:
    return tuple(stage.name for stage in MAP_STAGES) if step.requires == EVERY_STAGE else step.requires


def _summary(step: type) -> str:
    return (step.__doc__ or "").strip().partition("\n\n")[0].replace("\n    ", " ")


def _parameter(one: Setting) -> tuple[str, ...]:
    default = "empty" if one.value == "" else f"`{one.value}`"
    return f"`{one.name}`", _kind(one), default, one.meaning


def _kind(one: Setting) -> str:
    return " or ".join(f"`{choice}`" for choice in one.choices) or one.kind.__name__


def _presets(stage: int) -> list[str]:
    return [name for name, preset in PRESETS.items() if preset.stage == stage and not name.startswith("ablation-")]


def _preset_table(names: list[str]) -> str:
    """Entries in rows, presets in columns; a preset's value stands only where it differs from the first one's."""
    columns = [list(flat(PRESETS[name])) for name in names]
    rows = []
    for one, *entries in zip(settings_of(PRESETS[names[0]]), *columns, strict=True):
        name, first, source = entries[0]
        others = (f"`{value}`" if value != first else "" for _, value, _ in entries[1:])
        rows.append((f"`{name}`", _kind(one), source, f"`{first}`", *others, one.meaning))
    return _table(("entry", "type", "source", *(f"`{name}`" for name in names), "meaning"), rows)


def _ablations() -> Iterator[tuple[str, ...]]:
    paper = {name: value for name, value, _ in flat(Preset())}
    for name in (name for name in PRESETS if name.startswith("ablation-")):
        differences = (f"`{key}={value}`" for key, value, _ in flat(PRESETS[name]) if value != paper[key])
        yield f"`{name}`", ", ".join(differences)


def commands_page() -> str:
    """The --help of every verb."""
    parts = ["# Commands", _NOTE + "What `shhq-hs VERB --help` prints."]
    for name, parser in commands(make_parser()):
        parts.append(f"## {name}\n\n```text\n{_help(parser).rstrip()}\n```")
    return _joined(parts)


def commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """The program and all its verbs, with their full names."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                yield from commands(verb)


def _help(parser: argparse.ArgumentParser) -> str:
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = str(HELP_WIDTH)
    try:
        return parser.format_help()
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def _joined(parts: list[str]) -> str:
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def main(folder: Path) -> int:
    """Write the pages and say which changed."""
    for path in write(folder):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference")))
