"""The command line: settings, help that teaches, errors that say what to do."""

import re
from pathlib import Path

import pytest

from dataprep.errors import ConfigError
from pipelines import paper_stages, verbs
from pipelines.main import VERBS, main


def test_settings_take_the_type_of_their_field():
    dag = paper_stages.build(["crop.min_side_px=64", "superres.model=anime6b", "manifest.keep_near_duplicates=yes"])
    steps = {step.name: step for step in dag.steps}
    assert steps["crop"].min_side_px == 64.0
    assert isinstance(steps["crop"].min_side_px, float)
    assert steps["superres"].model == "anime6b"
    assert steps["manifest"].keep_near_duplicates is True


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("crop", "expected name=value, such as --set clips.frames_per_s=2.0"),
        ("crop.min_side_px", "expected name=value"),
        ("corp.min_side_px=1", "did you mean crop.min_side_px"),
        ("crop.min_side_pix=1", "did you mean crop.min_side_px"),
        ("crop.min_side_px=wide", "expected a finite number"),
        ("quality.min_sharpness=nan", "expected a finite number"),
        ("manifest.shard_rows=0", "expected a whole number between 1 and 65535"),
        ("crop.max_size_px=-3", "expected a whole number between 16 and 4096"),
        ("body.method=guess", "expected one of eft, map"),
        ("manifest.keep_near_duplicates=perhaps", "expected true or false"),
    ],
)
def test_wrong_settings_name_the_setting_and_the_way_out(setting, message):
    with pytest.raises(ConfigError, match=message):
        paper_stages.build([setting])


def test_a_parameter_changes_the_fingerprints_from_its_stage_on():
    plain, changed = paper_stages.build().refs, paper_stages.build(["crop.min_side_px=64"]).refs
    differs = {name for name in plain if plain[name] != changed[name]}
    assert differs == set(paper_stages.STAGE_NAMES) - {"ingest", "detect", "body"}


def test_until_cuts_the_dag():
    assert [step.name for step in paper_stages.build().until("crop").steps] == ["ingest", "detect", "body", "crop"]


def test_user_errors_end_with_status_2_and_one_line(tmp_path, capsys):
    assert main(["run", str(tmp_path / "nowhere"), "--out", str(tmp_path / "out"), "--cluster", "serial"]) == 2
    assert capsys.readouterr().err.startswith("shhq-hs: SOURCE")
    assert not (tmp_path / "out").exists()
    (tmp_path / "file").write_text("")
    assert main(["run", str(tmp_path), "--out", str(tmp_path / "file")]) == 2
    assert "is a file" in capsys.readouterr().err
    assert main(["run", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "folder of the photographs" in capsys.readouterr().err
    assert main(["status", str(tmp_path)]) == 2
    assert "shhq-hs run SOURCE --out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "verb", ["run", "plan", "params", "status", "show", "assets", "accuracy", "export-eft", "train-lifter"]
)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert len(capsys.readouterr().out) > 80


def test_assets_lists_what_is_there_and_what_is_not(capsys):
    assert main(["assets"]) == 0
    text = capsys.readouterr().out
    for name in ("body_anny.npz", "face_anny.npz", "lifter_anny.npz", "REALESRGAN_X4PLUS_UP4X.bin", "SMPL_NEUTRAL.npz"):
        assert name in text
    assert "corrupt" not in text


def test_params_lists_what_set_takes(capsys):
    assert main(["params", "--set", "crop.min_side_px=64"]) == 0
    lines = capsys.readouterr().out.split()
    assert "crop.min_side_px=64.0" in lines
    assert "superres.model=x4plus" in lines


def test_every_verb_has_a_file_and_every_such_file_is_a_verb():
    files = sorted(path.stem for path in Path(verbs.__file__).parent.rglob("*_verb.py"))
    assert files == sorted(f"{verb.name.replace('-', '_')}_verb" for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_what_a_verb_loads_is_there(verb):
    assert callable(verb.load())


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["statsu", "build"], "there is no 'statsu'; did you mean status?"),
        (["doktor"], "did you mean doctor?"),
        (["shards", "biuld"], "did you mean build?"),
        (["run", "samples", "--out", "build/x", "--worker-count", "2"], "did you mean --workers?"),
        (
            ["run", "samples", "--out", "build/x", "--cluser=local"],
            "no option --cluser; did you mean --cluster",
        ),
        (["xyzzy"], "there is no 'xyzzy'; there are: run, plan"),
    ],
)
def test_a_wrong_word_names_the_nearest(typed, told, capsys):
    with pytest.raises(SystemExit) as ended:
        main(typed)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_help_says_what_an_exit_status_means(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert re.search(r"exit status:\n  0    done\n  1    ", capsys.readouterr().out)
