"""`--config FILE.toml`: options, parameters and preset entries from a file that a run writes and takes again."""

import tomllib
from pathlib import Path

import pytest

from dataprep.errors import ConfigError
from dataprep.settings import apply, settings_of
from gan.presets import PRESETS, preset
from pipelines import config_file, paper_stages
from pipelines.commands.generator.preset_files import preset_and_entries
from pipelines.commands.summary import print_parameters
from pipelines.main import main, make_parser
from tests.fake_dataset import make_dataset, make_photos


def parsed(tmp_path, content, *arguments):
    (tmp_path / "a.toml").write_text(content)
    verb, *rest = arguments
    return config_file.parse(make_parser(), [verb, "--config", str(tmp_path / "a.toml"), *rest])


RUN = """
[run]
source = "photos"
out = "build"
workers = 4
max_error_fraction = 1
follow-links = true

[crop]
min_side_px = 64

[manifest]
keep_near_duplicates = true
"""


def test_the_file_holds_where_the_command_line_is_silent(tmp_path):
    options = parsed(tmp_path, RUN, "run", "--workers", "2", "--set", "crop.min_side_px=80")
    assert (options.source, options.out, options.workers) == (Path("photos"), Path("build"), "2")
    assert (options.max_error_fraction, options.follow_links, options.dashboard) == (1.0, True, False)
    steps = {step.name: step for step in paper_stages.build(options.set).steps}
    assert steps["crop"].min_side_px == 80.0
    assert steps["manifest"].keep_near_duplicates is True
    assert parsed(tmp_path, RUN, "run", "elsewhere").source == Path("elsewhere")


def test_plan_reads_what_run_reads_and_others_their_own(tmp_path):
    content = RUN + "[train]\npreset = 'tiny'\ndata = ['a', 'b']\n[preset]\nbatch = 4\n[body]\nface_scale = false\n"
    plan = parsed(tmp_path, content, "plan")
    assert (plan.source, plan.workers) == (Path("photos"), "4")
    assert not hasattr(plan, "max_error_fraction")
    train = parsed(tmp_path, content, "train", "--out", "run")
    assert (train.preset, train.data) == ("tiny", [Path("a"), Path("b")])
    assert [str(one) for one in train.set] == ["batch=4"]
    track = parsed(tmp_path, content, "track", "video.mp4", "-o", "t.parquet")
    assert [str(one) for one in track.set] == ["body.face_scale=False"]  # the crop's are not for it


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[rum]\nworkers = 1", "there is no 'rum'; did you mean run?"),
        ("[run]\nworker = 1", r"\[run\] there is no 'worker'; did you mean workers?"),
        ("[run]\nhelp = true", "there is no 'help'"),
        ("[train]\nmicro = 'four'", r"\[train\] micro=four: expected N.auto"),
        ("[run]\nmax-error-fraction = true", "max-error-fraction=True: expected a number"),
        ("[run]\ndashboard = 1", "dashboard=1: expected true or false"),
        ("[run]\nworkers = [1]", r"workers=\[1\]: expected text"),
        ("[evaluate]\nsplit = 'test'", "split=test: expected one of train, val"),
        (
            "[crop]\nmin_side = 1",
            "crop.min_side=1: there is no 'crop.min_side'; did you mean crop.min_inside or crop.min_side_px?",
        ),
        ("[crop]\nmin_side_px = -1", "crop.min_side_px=-1: expected a finite number between 0 and 100000"),
        ("[crop]\nmin_side_px = [1]", "crop.min_side_px=.*expected a finite number"),
        ("[crop.min_side_px]\nmore = 1", "crop.min_side_px.more"),
        ("crop = 1", r"crop=1: expected a table, \[crop\]"),
        ("run = ", "no readable TOML file"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_name(tmp_path, content, said):
    with pytest.raises(ConfigError, match=rf"--config .*a.toml: .*{said}"):
        parsed(tmp_path, content, "run")


def test_a_wrong_entry_of_a_preset_names_the_file(tmp_path, capsys):
    (tmp_path / "a.toml").write_text("[train]\npreset = 'tiny'\n[preset.deformation]\nlandmarks = 1\n")
    assert main(["train", "--config", str(tmp_path / "a.toml"), "--print"]) == 2
    assert "a.toml: deformation.landmarks=1: there is no" in capsys.readouterr().err
    assert main(["run", "--config", str(tmp_path / "none.toml")]) == 2
    assert "there is no such file, and none of that name comes along: paper" in capsys.readouterr().err


def test_a_file_that_comes_along_goes_by_its_name_and_one_s_own_goes_before_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "photos", "--out", "out", "--config", "paper", "--set", "body.method=map"]
    shipped = {str(one) for one in config_file.parse(make_parser(), arguments).set}
    assert {"body.regressor=hmr", "superres.restore=gfpgan", "face.method=rnet", "body.method=map"} <= shipped
    (tmp_path / "paper").write_text("[superres]\nmodel = 'span'\n")
    assert [str(one) for one in config_file.parse(make_parser(), arguments).set] == [
        "superres.model=span",
        "body.method=map",
    ]


def test_print_and_params_take_the_file(tmp_path, capsys):
    (tmp_path / "a.toml").write_text("[crop]\nmin_side_px = 64\n[train]\npreset = 'tiny'\n[preset]\nema = 0.5\n")
    assert main(["params", "--config", str(tmp_path / "a.toml")]) == 0
    assert "crop.min_side_px=64.0\n" in capsys.readouterr().out
    assert main(["train", "--print", "--config", str(tmp_path / "a.toml"), "--set", "batch=2"]) == 0
    lines = {line.split()[0]: line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert (lines["ema"], lines["batch"]) == ("0.5", "2")


def test_a_run_saves_what_it_went_by_and_takes_it_again(tmp_path, capsys):
    photos, out = tmp_path / 'my "photos" \\ é', tmp_path / "out"
    make_photos(photos, 2)
    make_dataset(photos, out, {}, small=True)
    assert main(["run", str(photos), "--out", str(out), "--cluster", "serial", "--max-error-fraction", "0.5",
                 "--set", "report.max_accepted=7", "--until", "report"]) == 0  # fmt: skip
    saved = out / "runs" / "config.toml"
    content, before = tomllib.loads(saved.read_text()), saved.read_bytes()
    assert content["run"]["max-error-fraction"] == 0.5
    assert {name: set(content[name]) for name in paper_stages.STAGE_NAMES if name in content} == {
        step.name: {one.name.partition(".")[2] for one in settings_of(step, f"{step.name}.")}
        for step in paper_stages.STEPS
        if list(settings_of(step))
    }
    capsys.readouterr()
    assert main(["run", "--config", str(saved)]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert saved.read_bytes() == before
    options = config_file.parse(make_parser(), ["run", "--config", str(saved)])
    assert (options.source, options.out, options.cluster) == (photos, out, "serial")
    print_parameters(paper_stages.build(options.set))
    assert "report.max_accepted=7\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["paper-stage2", "tiny", "ablation-no-dp"])
def test_a_preset_comes_back_as_it_was(tmp_path, name):
    resolved = {
        "train": {"preset": "paper-stage1", "data": [Path("a"), Path(b"\xff".decode("utf-8", "surrogateescape"))]}
    }
    path = tmp_path / "config.toml"
    path.write_bytes(config_file.as_toml(resolved, settings_of(preset(name), "preset.")))
    options = config_file.parse(make_parser(), ["train", "--config", str(path)])
    assert options.data == resolved["train"]["data"]
    assert apply(preset("paper-stage1"), options.set) == preset(name)


@pytest.mark.parametrize("name", ["paper-stage2", "tiny"])
def test_a_printed_preset_is_edited_and_given_back(tmp_path, capsys, name):
    """Every entry with meaning and source; two changes are all that differs, wherever they are told."""
    path = tmp_path / "mine.toml"
    assert main(["train", "--preset", name, "--print", "toml", "--set", "batch=6"]) == 0
    path.write_text(capsys.readouterr().out)
    base, entries = preset_and_entries(str(path))
    assert apply(preset(base), entries) == preset(name, batch=6)
    assert "\nbatch = 6  # images a step over all devices (ours)\n" in path.read_text()
    assert "\nwhole = " in path.read_text()
    path.write_text(path.read_text().replace("batch = 6 ", "batch = 12 "))
    assert main(["train", "--preset", str(path), "--print", "--set", "ema=0.5"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert (lines["batch"], lines["ema"]) == (["12", "ours"], ["0.5", "ours"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[preset]\nbatch = 4\n", "names no preset that its entries change"),
        ("[train]\npreset = 'tiny'\n[preset]\nbatsh = 4\n", "did you mean batch"),
        ("[train]\npreset = 'tiny'\n[preset.augment]\nmode = 'on'\n", "one of off, fixed, adaptive"),
        ("[train]\npreset = 'tinny'\n", "no preset 'tinny'"),
        ("[train\n", "no readable TOML file"),
        (None, "there is no such file"),
    ],
)
def test_a_wrong_preset_file_is_explained(tmp_path, capsys, content, said):
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_text(content)
    assert main(["train", "--preset", str(path), "--print"]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "mine.toml" in error or "tinny" in error


def test_every_default_has_the_type_it_is_read_back_in():
    """Else a run's own config.toml makes another fingerprint, and everything is computed again."""
    every = [*paper_stages.parameters(), *(one for preset in PRESETS.values() for one in settings_of(preset))]
    assert [one.name for one in every if isinstance(one.kind, type) and type(one.value) is not one.kind] == []
