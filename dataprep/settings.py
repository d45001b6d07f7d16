"""Settings are fields of frozen dataclasses: type, bounds and meaning stand beside the default.

    @dataclass(frozen=True)
    class Crop(Stage):
        min_side_px: float = number(140.0, 0, 4096, "a portrait square that is smaller is rejected; px")
        method: Literal["cut", "warp"] = setting("cut", "how pixels are taken over")

        def __post_init__(self) -> None:
            require_bounds(self, "crop.")

Whatever speaks of settings reads these fields: `--set`, `--config`, `params`, `train --print` and docs/reference. A
dataclass inside another one is a group; its settings have dotted names (`deformation.landmark`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

from dataprep.errors import ConfigError

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SHOWN = 40  # characters of a wrong value that a message repeats


def number(default: Any, low: float, high: float, meaning: str = "", **metadata: Any) -> Any:
    """Declare a field that holds a number, or a tuple of them, from `low` to `high` (both may be reached)."""
    return setting(default, meaning, bounds=(low, high), **metadata)


def setting(default: Any, meaning: str, **metadata: Any) -> Any:
    """Declare a field that holds text, true or false, or one of the choices of its `Literal`."""
    return dataclasses.field(default=default, metadata={"meaning": meaning, **metadata})


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted name, the annotation of its field, its value or default, and what stands beside it."""

    name: str
    kind: Any  # bool, int, float, str, a Literal of texts, or a tuple of numbers
    value: Any
    metadata: Mapping[str, Any]

    @property
    def meaning(self) -> str:
        """What it does, with its unit; "" where nobody said it."""
        return self.metadata.get("meaning", "")

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts that it may be; empty for other kinds."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def expected(self) -> str:
        """What a message says that it takes."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.kind is bool:
            return "true or false"
        if self.kind is str:
            return "text"
        low, high = self.metadata.get("bounds", (-math.inf, math.inf))
        bounds = f" between {low:g} and {high:g}" if math.isfinite(low) else ""
        if get_origin(self.kind) is tuple:
            return f"{len(get_args(self.kind))} numbers{bounds}"
        return ("a whole number" if self.kind is int else "a finite number") + bounds

    def allows(self, value: Any) -> bool:
        """Whether a value of the right type is one of the choices, or finite and within the bounds."""
        if self.choices:
            return value in self.choices
        if isinstance(value, bool | str):
            return True
        low, high = self.metadata.get("bounds", (-math.inf, math.inf))
        values = value if isinstance(value, tuple) else (value,)
        return all(low <= one <= high and abs(one) != math.inf for one in values)  # false for NaN, too

    def read(self, given: Any) -> Any:
        """Return the value that a text, or what TOML holds, stands for; raise ValueError when it is none."""
        value = as_kind(given, str if self.choices else self.kind)
        if not self.allows(value):
            raise ValueError
        return value


def settings_of(record: Any, prefix: str = "") -> Iterator[Setting]:
    """Yield the settings of a dataclass, or of a record with its own values.

    Those of a group have dotted names, and what stands beside the group (its source) counts for all of them.
    """
    kinds = _kinds(record if isinstance(record, type) else type(record))
    for field in dataclasses.fields(record):
        value = field.default if isinstance(record, type) else getattr(record, field.name)
        if dataclasses.is_dataclass(value):
            for one in settings_of(value, f"{prefix}{field.name}."):
                yield dataclasses.replace(one, metadata={**one.metadata, **field.metadata})
        else:
            yield Setting(prefix + field.name, kinds[field.name], value, field.metadata)


@cache
def _kinds(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def require_bounds(record: Any, prefix: str) -> None:
    """Raise ConfigError unless all numbers of the record are finite and in bounds and all choices exist."""
    for one in settings_of(record, prefix):
        if not one.allows(one.value):
            raise ConfigError(f"{one.name}={one.value}: expected {one.expected}")


def as_kind(given: Any, kind: Any) -> Any:
    """Return a text, or what TOML holds, as a value of `kind`; raise ValueError when it is none."""
    if get_origin(kind) is tuple:
        words = given.strip("() ").split(",") if isinstance(given, str) else given
        if not isinstance(words, list) or len(words) != len(get_args(kind)):
            raise ValueError
        return tuple(as_kind(word, one) for word, one in zip(words, get_args(kind), strict=True))
    if isinstance(given, str):
        return _from_text(given.strip(), kind)
    if kind is float and type(given) is int:
        return float(given)
    if type(given) is not kind:
        raise ValueError
    return given


def _from_text(text: str, kind: Any) -> Any:
    if kind is bool:
        if text.lower() not in _BOOLEANS:
            raise ValueError
        return _BOOLEANS[text.lower()]
    return kind(text)


# -- values that somebody gives


@dataclass(frozen=True)
class Given:
    """A value for the setting `name`, as text or as TOML holds it, and where it was given."""

    name: str
    value: Any
    place: str = "--set"

    def __str__(self) -> str:
        return f"{self.name}={self.value}"

    def refused(self, why: str) -> ConfigError:
        """An error that names what was given, and where."""
        text = str(self.value)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
        return ConfigError(f"{self.place} {self.name}={shown}: {why}")


def parse(text: str, example: str) -> Given:
    """Read `name=value` of `--set`; a message names the `example`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: expected name=value, such as --set {example}")
    return Given(name.strip(), value.strip())


def read(given: Iterable[Given | str], known: Iterable[Setting]) -> dict[str, Any]:
    """Return the values by name, later ones in place of earlier; raise ConfigError that names place and way out."""
    settings = {one.name: one for one in known}
    example = next((f"{one.name}={one.value}" for one in settings.values()), "name=value")
    values = {}
    for one in (parse(each, example) if isinstance(each, str) else each for each in given):
        if one.name not in settings:
            raise one.refused(unknown(one.name, settings))
        try:
            values[one.name] = settings[one.name].read(one.value)
        except (ValueError, OverflowError):  # no number, or one with hundreds of digits
            raise one.refused(f"expected {settings[one.name].expected}") from None
    return values


def unknown(name: str, known: Iterable[str]) -> str:
    """Say that there is no such setting, which one may be meant, and what there is at the place that was named."""
    names, prefix = list(known), ""
    for word in name.split("."):
        if not any(f"{one}.".startswith(f"{prefix}{word}.") for one in names):
            break
        prefix += f"{word}."
    alike = [one for one in names if one.split(".")[-1] == name.split(".")[-1]]
    near = get_close_matches(name, alike or names, n=2, cutoff=0 if alike else 0.6)
    beside = dict.fromkeys(one.removeprefix(prefix).split(".")[0] for one in names if one.startswith(prefix))
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    here = f"of {prefix.rstrip('.')}" if prefix else "here"
    return f"there is no '{name}'; {meant}{here} there are: {', '.join(beside) or 'none'}"


def changed(record: Any, values: Mapping[str, Any]) -> Any:
    """Return the record with values by dotted name, all at once: a size that must equal another may change with it."""
    own = {name: value for name, value in values.items() if "." not in name}
    for group in dict.fromkeys(name.partition(".")[0] for name in values if "." in name):
        inside = {name.partition(".")[2]: value for name, value in values.items() if name.startswith(f"{group}.")}
        own[group] = changed(getattr(record, group), inside)
    return dataclasses.replace(record, **own)


def apply(record: Any, given: Iterable[Given | str]) -> Any:
    """Return the record with what was given; raises ConfigError on unknown names and on other types."""
    return changed(record, read(given, settings_of(record)))
