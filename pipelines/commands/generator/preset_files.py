"""A training preset as a file: written by `train --print toml`, edited, and given back as `--preset FILE.toml`.

    [train]
    preset = "small"       what the entries change

    [preset]
    batch = 16             # images a step over all devices (ours)

Any file for `--config` that holds these two tables will do, so `--preset RUN/config.toml` trains as RUN was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tomli_w

from dataprep.errors import ConfigError
from dataprep.settings import Given, Setting
from gan.presets import Preset, Source, with_sources
from pipelines.config_file import PRESET, entries_of, read_tables

SUFFIX = ".toml"
_COMMAND = "train"


def preset_and_entries(named: str) -> tuple[str, list[Given]]:
    """Return the name of a preset, and the entries with which a file changes it; none where `named` is no file."""
    if not named.endswith(SUFFIX):
        return named, []
    place = f"--preset {named}:"
    tables = read_tables(Path(named), place, None)
    base = tables.get(_COMMAND, {}).get("preset")
    if not isinstance(base, str):
        raise ConfigError(f'{place} it names no preset that its entries change: [{_COMMAND}], preset = "small"')
    return base, list(entries_of(tables.get(PRESET, {}), place))


def as_preset_file(base: str, chosen: Preset) -> str:
    """Return every entry with its meaning and source, as TOML that changes the preset `base`."""
    tables: dict[str, list[str]] = {}
    for one, source in with_sources(chosen):
        group, _, leaf = f"{PRESET}.{one.name}".rpartition(".")
        tables.setdefault(group, []).append(_line(leaf, one, source))
    head = f'# shhq-hs train --preset FILE{SUFFIX}\n[{_COMMAND}]\npreset = "{base}"'
    return "\n\n".join([head, *(_table(name, lines) for name, lines in tables.items())])


def _table(name: str, lines: Sequence[str]) -> str:
    return "\n".join([f"[{name}]", *lines])


def _line(leaf: str, one: Setting, source: Source) -> str:
    value = str(list(one.value)) if isinstance(one.value, tuple) else tomli_w.dumps({leaf: one.value}).split("= ", 1)[1]
    return f"{leaf} = {value.strip()}  # {one.meaning} ({source})"
