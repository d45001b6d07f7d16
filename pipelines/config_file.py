"""`--config FILE.toml`: options of a command, parameters of stages and entries of a training preset, in one file.

    [run]                      options, by the names of `shhq-hs run --help`; what the command line says counts more
    source = "photos"
    out = "build/data"
    workers = 4

    [superres]                 parameters of a stage
    model = "animevideov3"

    [train]
    preset = "small"

    [preset.deformation]       entries of that preset
    landmark = 5e3

One file may serve several commands: each takes the tables that are its own. `run`, `train` and `evaluate` write
all that they went by to a file `config.toml`, which `--config` takes again. Files that come with the package are named
without a suffix: `--config paper`.
"""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from dataprep.errors import ConfigError
from dataprep.files.filenames import escape, unescape
from dataprep.settings import Given, Setting, as_kind, read, unknown

NAME = "config.toml"  # of the file that a run writes
SHIPPED_FOLDER = Path(__file__).parent / "configs"
_HELP = "options and settings from a TOML file, or `paper` (docs/howto.md); what is typed counts more"
STAGES = "stages"  # stands for the tables of all stages
PRESET = "preset"  # table of the entries of a training preset
_ELSEWHERE = {"plan": "run"}  # plan tells what `run` would do: it reads the same table
_NOT_OPTIONS = ("config", "set", "print", "help", "json", "quiet", "verbose", "log-file")
_EXPECTED: dict[Any, str] = {int: "a whole number", float: "a number"}


def add_config_argument(parser: argparse.ArgumentParser, *settings: str) -> None:
    """Let a command take `--config`; `settings` are the tables whose entries it takes as it takes those of `--set`."""
    parser.add_argument("--config", type=Path, metavar="FILE", help=_HELP)
    parser.set_defaults(settings_tables=settings)


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line; a file that it names holds where it is silent.

    Commands with `--config` find their options in `resolved`, as `as_toml` takes them.
    """
    verbs = {name: verb for name, verb in _verbs(parser).items() if verb.get_default("settings_tables") is not None}
    if not arguments or arguments[0] not in verbs:
        return parser.parse_args(arguments)
    verb = verbs[arguments[0]]
    path = _named(arguments[1:])
    given = [] if path is None else _take(path, arguments[0], verbs)
    options = parser.parse_args(arguments)
    if given:
        options.set = [*given, *options.set]
    table = {name: getattr(options, action.dest) for name, action in _options(verb).items()}
    options.resolved = {arguments[0]: {name: value for name, value in table.items() if value is not None}}
    return options


def as_toml(resolved: Mapping[str, Mapping[str, Any]], settings: Iterable[Setting] = ()) -> bytes:
    """Return options and settings as a file for `--config`."""
    tables: dict[str, Any] = {
        verb: {name: _plain(value) for name, value in options.items()} for verb, options in resolved.items()
    }
    for one in settings:
        *groups, leaf = one.name.split(".")
        table = tables
        for group in groups:
            table = table.setdefault(group, {})
        table[leaf] = _plain(one.value)
    return tomli_w.dumps(tables).encode("utf-8", "backslashreplace")  # a setting's text may hold undecodable bytes


def _plain(value: Any) -> Any:
    """A value as TOML holds it; names of files as text."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, bool | int | float | str) else escape(str(value))


# -- reading


def _named(arguments: Sequence[str]) -> Path | None:
    """The file that the command line names; what else is wrong with it is said later."""
    early = argparse.ArgumentParser(add_help=False)
    early.add_argument("--config", nargs="?", type=Path)
    return early.parse_known_args(list(arguments))[0].config


def _load() -> tuple[Sequence[str], Sequence[Setting]]:
    """Return names and parameters of all stages, which only a file asks for: they take long to import."""
    from pipelines.paper_stages import SETTING_GROUPS, parameters

    return SETTING_GROUPS, parameters()


def _take(path: Path, name: str, verbs: Mapping[str, argparse.ArgumentParser]) -> list[Given]:
    """Make the file's options defaults of the command `name`; return the settings that are for it."""
    stage_names, parameters = _load()
    place = f"--config {path}:"
    tables = read_tables(path, place, [*(verb for verb in verbs if verb not in _ELSEWHERE), *stage_names, PRESET])
    for verb in (table for table in tables if table in verbs):
        values = dict(_values(_options(verbs[verb]), tables[verb], f"{place} [{verb}]"))
        if verb == _ELSEWHERE.get(name, name):
            _set_defaults(_options(verbs[name]), values)
    given = {table: list(entries_of(tables[table], place, f"{table}.")) for table in stage_names if table in tables}
    given[STAGES] = [one for some in given.values() for one in some]
    read(given[STAGES], parameters)  # whoever takes them
    given[PRESET] = list(entries_of(tables.get(PRESET, {}), place))
    return [one for table in verbs[name].get_default("settings_tables") for one in given.get(table, ())]


def read_tables(path: Path, place: str, known: Sequence[str] | None) -> dict[str, dict[str, Any]]:
    """Return the tables of a file; ConfigError on one that cannot be read and on tables of other names, if `known`."""
    if not path.is_file():
        shipped = {file.stem: file for file in sorted(SHIPPED_FOLDER.glob("*.toml"))}
        if str(path) not in shipped:
            raise ConfigError(f"{place} there is no such file, and none of that name comes along: {', '.join(shipped)}")
        path = shipped[str(path)]
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{place} this is no readable TOML file ({error})") from error
    for name, table in content.items():
        if known is not None and name not in known:
            raise ConfigError(f"{place} {unknown(name, known)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{place} {name}={table}: expected a table, [{name}]")
    return content


def entries_of(table: Mapping[str, Any], place: str, prefix: str = "") -> Iterator[Given]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from entries_of(value, place, f"{prefix}{name}.")
        else:
            yield Given(prefix + name, value, place)


# -- options of argparse


def _verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    (verbs,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return dict(verbs.choices)


def _options(verb: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a command by their long names, its positional arguments by their own."""
    named = {_long_name(action): action for action in verb._actions}
    return {name: action for name, action in named.items() if name not in _NOT_OPTIONS}


def _long_name(action: argparse.Action) -> str:
    return max(action.option_strings, key=len, default=action.dest).lstrip("-").replace("_", "-")


def _values(options: Mapping[str, argparse.Action], table: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """Names and values of the options in a table, in the type that the command line would give them."""
    for name, held in table.items():
        option = name.replace("_", "-")
        if option not in options:
            raise ConfigError(f"{place} {unknown(name, options)}")
        try:
            yield option, _value(options[option], held)
        except (ValueError, TypeError):
            raise ConfigError(f"{place} {name}={held}: expected {_expected(options[option])}") from None


def _value(option: argparse.Action, held: Any) -> Any:
    if isinstance(option, argparse._StoreTrueAction):
        return as_kind(held, bool)
    if option.nargs == "+":
        return [_single(option, one) for one in (held if isinstance(held, list) else [held])]
    return _single(option, held)


def _single(option: argparse.Action, held: Any) -> Any:
    if isinstance(held, bool | list | dict):
        raise ValueError
    if option.type in _EXPECTED:
        value = as_kind(held, option.type)
    else:
        value = option.type(unescape(str(held))) if callable(option.type) else str(held)
    if option.choices and value not in option.choices:
        raise ValueError
    return value


def _expected(option: argparse.Action) -> str:
    if isinstance(option, argparse._StoreTrueAction):
        return "true or false"
    if option.choices:
        return f"one of {', '.join(map(str, option.choices))}"
    own_type = str(option.metavar) if callable(option.type) and option.metavar else "text"
    return _EXPECTED.get(option.type, own_type)


def _set_defaults(options: Mapping[str, argparse.Action], values: Mapping[str, Any]) -> None:
    """Let the command line leave out what the file says."""
    for name, value in values.items():
        if name in options:
            option = options[name]
            option.default, option.required = value, False
            if not option.option_strings:
                option.nargs = "*" if option.nargs == "+" else "?"
