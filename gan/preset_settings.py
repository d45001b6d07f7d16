"""Changing entries of a preset by name, as `--set deformation.landmark=5e3` does."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from dataprep.errors import ConfigError
from gan.presets import Preset, flat

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def with_settings(preset: Preset, settings: Sequence[str]) -> Preset:
    """Return the preset with `name=value` applied in turn; raises ConfigError on unknown names and on other types.

    All take effect together: a size that must equal another one may change with it.
    """
    known = {name: value for name, value, _ in flat(preset)}
    tree: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"--set {setting}: expected name=value, such as --set batch=8")
        if name not in known:
            near = [other for other in known if other.split(".")[-1] == name.split(".")[-1]]
            raise ConfigError(
                f"--set {setting}: a preset has no entry '{name}'"
                + (f"; did you mean {' or '.join(near)}?" if near else "; --print shows all of them")
            )
        *groups, leaf = name.split(".")
        branch = tree
        for group in groups:
            branch = branch.setdefault(group, {})
        branch[leaf] = _read(text, known[name], setting)
    return _replaced(preset, tree)


def _replaced(record: Any, changes: dict[str, Any]) -> Any:
    values = {
        name: _replaced(getattr(record, name), value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    return dataclasses.replace(record, **values)


def _read(text: str, like: Any, setting: str) -> Any:
    """Read a value of the type that the entry has."""
    try:
        if isinstance(like, bool):
            return _BOOLEANS[text.lower()]
        if isinstance(like, tuple):
            values = tuple(float(word) for word in text.strip("()").split(","))
            if len(values) != len(like):
                raise ValueError
            return values
        return type(like)(text)
    except (ValueError, KeyError):
        kind = f"{len(like)} numbers" if isinstance(like, tuple) else type(like).__name__
        raise ConfigError(f"--set {setting}: expected a value of type {kind}, such as {like}") from None
