"""Every setting says what it means and what it may be; what it may not be is an error before any work."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

import pytest

from dataprep.errors import ConfigError
from dataprep.settings import Given, apply, changed, number, read, require_bounds, setting, settings_of, unknown
from gan.presets import Preset, preset
from pipelines import paper_stages


def outside(one):
    """Texts of values that are out of bounds, not finite, no choice or of another type."""
    if one.choices:
        return ["neither of them"]
    if one.kind is bool:
        return ["perhaps"]
    if one.kind is str:
        return []
    low, high = one.metadata["bounds"]
    beyond = [low - 1, math.nan, math.inf, *([2 * high + 1] if math.isfinite(high) else [])]
    if one.kind is int:
        return ["2.5", "9" * 400, *(f"{value:.0f}" for value in beyond if math.isfinite(value))]
    return [f"{value},0.5" if isinstance(one.value, tuple) else repr(value) for value in beyond]


PRESETS = [*settings_of(Preset())]
STAGES = paper_stages.parameters()


@pytest.mark.parametrize("one", [*STAGES, *PRESETS], ids=lambda one: one.name)
def test_a_setting_has_a_meaning_and_a_number_has_bounds(one):
    assert one.meaning
    assert one.kind in (str, bool) or one.choices or one.metadata["bounds"]
    assert one.allows(one.value)


@pytest.mark.parametrize("one", PRESETS, ids=lambda one: one.name)
def test_presets_refuse_what_is_out_of_bounds(one):
    for text in outside(one):
        with pytest.raises(ConfigError, match=rf"--set {one.name}=.*expected"):
            apply(preset("paper-stage1"), [f"{one.name}={text}"])


@pytest.mark.parametrize("one", STAGES, ids=lambda one: one.name)
def test_stages_refuse_what_is_out_of_bounds(one):
    for text in outside(one):
        with pytest.raises(ConfigError, match=rf"--set {one.name}=.*expected"):
            paper_stages.build([f"{one.name}={text}"])


@dataclass(frozen=True)
class Inner:
    rate: float = number(0.5, 0, 1, "a rate")
    pair: tuple[float, float] = number((0.0, 1.0), 0, 2, "two of them")


@dataclass(frozen=True)
class Outer:
    size: int = number(4, 1, 10, "a size; px")
    kind: Literal["slow", "fast"] = setting("slow", "how")
    on: bool = setting(True, "whether")
    name: str = setting("", "what it is called")
    inner: Inner = field(default=Inner())

    def __post_init__(self):
        require_bounds(self, "outer.")


@pytest.mark.parametrize(
    ("name", "text", "typed"),
    [
        ("size", " 7 ", 7),
        ("kind", "fast", "fast"),
        ("on", "no", False),
        ("name", "5", "5"),
        ("inner.rate", "1", 1.0),
        ("inner.rate", "0.25", 0.25),
        ("inner.pair", "(0.5, 2)", (0.5, 2.0)),
    ],
)
def test_text_and_toml_give_the_same_value(name, text, typed):
    held = list(typed) if isinstance(typed, tuple) else typed
    for given in (f"{name}={text}", Given(name, held, "file")):
        values = read([given], settings_of(Outer()))
        assert values == {name: typed}
        assert type(values[name]) is type(typed)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("size", 2.5, "a whole number between 1 and 10"),
        ("size", True, "a whole number"),
        ("on", 1, "true or false"),
        ("name", 5, "text"),
        ("kind", "faster", "one of slow, fast"),
        ("inner.rate", [0.1], "a finite number between 0 and 1"),
        ("inner.pair", [0.1], "2 numbers between 0 and 2"),
        ("inner.pair", {"a": 1}, "2 numbers"),
        ("inner.rate", math.inf, "a finite number"),
    ],
)
def test_what_a_file_holds_must_have_the_type(name, value, expected):
    with pytest.raises(ConfigError, match=rf"--config a.toml: {name}=.*: expected {expected}"):
        read([Given(name, value, "--config a.toml:")], settings_of(Outer()))


def test_later_values_take_the_place_of_earlier_ones_and_others_stay():
    assert apply(Outer(), ["size=2", "inner.rate=0", "size=3"]) == replace(
        Outer(), size=3, inner=replace(Inner(), rate=0.0)
    )
    assert changed(Outer(), {}) == Outer()


@pytest.mark.parametrize("wrong", [{"size": 11}, {"kind": "other"}, {"inner": replace(Inner(), rate=math.nan)}])
def test_a_record_that_is_made_in_code_is_checked_too(wrong):
    with pytest.raises(ConfigError, match=r"outer\..*expected"):
        Outer(**wrong)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("inner.rat", "did you mean inner.rate or inner.pair? of inner there are: rate, pair"),
        ("rate", "did you mean inner.rate? here there are: size, kind, on, name, inner"),
        ("inner", "did you mean inner"),
        ("zebra", "there is no 'zebra'; here there are: size"),
        ("size.more", "of size there are: none"),
    ],
)
def test_an_unknown_name_says_what_may_be_meant(name, said):
    assert said in unknown(name, [one.name for one in settings_of(Outer())])
