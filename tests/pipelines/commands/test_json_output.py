"""`--json`: what programs read says what people read; what plan estimates; how much is said, and where a copy goes."""

import json
import re
import subprocess

import pytest

from dataprep.tables.store import Store, write_json
from pipelines import paper_stages
from pipelines.engine.cost.estimate import estimate, measured_s
from pipelines.engine.dag import describe
from pipelines.engine.event_log import EventLog
from pipelines.engine.index import preview
from pipelines.engine.last_run import remember
from pipelines.engine.plan import make_plan
from pipelines.main import main
from tests.fake_dataset import End, make_dataset, make_photos

ENDS = {
    "photo0003.jpg": End("detect", reason="no_person"),
    "photo0004.jpg": End("quality", reason="blurred"),
    "photo0005.jpg": End("body", "error", "ValueError", "it \x1b[31m failed"),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("json")
    make_photos(folder / "photos", 10)
    view = make_dataset(folder / "photos", folder / "out", ENDS, small=True)
    remember(view.store, paper_stages.build())
    return folder / "out"


@pytest.fixture
def said(capsys):
    """Returns a function from a command line to its exit status and its JSON."""

    def of(*words):
        status = main([*map(str, words), "--json"])
        return status, json.loads(capsys.readouterr().out)

    return of


def test_status_counts_what_it_tells_people(out, said, capsys):
    status, content = said("status", out)
    assert (status, content["schema"], content["inputs"], content["accepted"]) == (0, 1, 10, 7)
    assert [(one["stage"], one["reason"], one["images"]) for one in content["lost"]] == [
        ("detect", "no_person", 1),
        ("body", "ValueError", 1),
        ("quality", "blurred", 1),
    ]
    stages = {one["stage"]: one for one in content["stages"]}
    assert list(stages) == list(paper_stages.STAGE_NAMES)
    assert stages["quality"]["counts"] == {"ok": 7, "upstream": 2, "rejected": 1}
    main(["status", str(out)])
    assert "7 ok, 2 upstream, 1 rejected" in capsys.readouterr().out


def test_errors_lists_every_lost_row(out, said):
    status, content = said("errors", out)
    assert status == 0
    assert content["total"] == 3
    assert {row["path"]: row["message"] for row in content["lost"]} == {name: end.message for name, end in ENDS.items()}
    assert said("errors", out, "--stage", "body")[1]["lost"][0]["status"] == "error"
    assert said("errors", out, "--reason", "nothing_such") == (
        1,
        {"schema": 1, "out": str(out), "total": 0, "lost": []},
    )


def test_verify_lists_defects_as_they_are(out, said):
    status, content = said("verify", out)
    assert content["rows"] == 10 * len(paper_stages.MAP_STAGES)
    assert status == int(not content["whole"]) == int(bool(content["defects"]))


def test_plan_says_what_would_run_and_what_it_takes(out, said):
    photos = out.parent / "photos"
    status, content = said("plan", photos, "--out", out.parent / "new", "--workers", 2)
    assert status == 0
    by_name = {one["stage"]: one for one in content["stages"]}
    assert by_name["superres"]["images"] == 10
    assert by_name["superres"]["core_s"] > 0.5 * content["core_s"]
    assert by_name["report"]["to_run"] == 1
    assert content["core_s"] / 2 <= content["seconds"] < content["core_s"]
    assert content["disk_bytes"] > 1e6
    assert not content["measured"]
    assert content["free_bytes"] > 0


def test_parameters_are_those_that_set_takes(said):
    _, content = said("params", "--set", "crop.min_side_px=64")
    (one,) = [one for one in content["parameters"] if one["name"] == "crop.min_side_px"]
    assert one["value"] == 64.0
    assert "px" in one["meaning"]


def test_assets_and_doctor_say_where_and_what(said, tmp_path):
    status, content = said("assets")
    assert status == 0
    assert {one["tier"] for one in content["files"]} == {"free", "user"}
    assert all(one["state"] == "found" for one in content["files"] if one["tier"] == "free")
    status, content = said("doctor", "--out", tmp_path, "--no-probe")
    assert status == int(content["problems"] > 0)
    assert any(one["what"].startswith("Python 3.") for one in content["findings"])


def test_an_estimate_remembers_what_the_stage_took_with_the_same_parameters(out):
    log, dag = EventLog(out), paper_stages.build()
    log.write("part", stage="detect", part=0, counts={"ok": 8, "upstream": 4}, seconds=80.0, memory_mib=1)
    log.flush()
    view_store, detect = Store(out), next(stage for stage in dag.stages if stage.name == "detect")
    write_json(view_store.folder(dag.refs["detect"]) / "stage.json", {"stage": describe(detect), "upstream": {}})
    assert measured_s(view_store, dag) == {"detect": 10.0}
    changed = paper_stages.build(["detect.min_mask_iou=0.7"])
    assert measured_s(view_store, changed) == {}
    plan = make_plan(view_store, changed, preview(out.parent / "photos", out))
    found = {one.name: one for one in estimate(view_store, changed, plan).stages}
    assert not found["detect"].measured
    assert found["detect"].core_s > 0
    assert found["ingest"].core_s == 0


def test_a_log_file_has_results_errors_and_times(out, tmp_path, capsys):
    log = tmp_path / "log.txt"
    assert main(["status", str(out), "--log-file", str(log)]) == 0
    assert main(["status", str(tmp_path / "nothing"), "--log-file", str(log)]) == 2
    shown = capsys.readouterr()
    lines = log.read_text().splitlines()
    assert all(re.match(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00 ", line) for line in lines)
    said = [line.split(" ", 1)[1] for line in lines]
    assert "\n".join(said) + "\n" == shown.out + shown.err
    assert "\x1b" not in log.read_text()


def test_a_log_file_that_cannot_be_written_is_named(out, tmp_path, capsys):
    assert main(["status", str(out), "--log-file", str(tmp_path / "no" / "log")]) == 2
    assert f"{tmp_path}/no/log cannot be written" in capsys.readouterr().err


def test_bash_completes_verbs_and_options(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    script = tmp_path / "shhq-hs"
    script.write_text(capsys.readouterr().out)
    ask = (
        f"source {script}; complete -p shhq-hs >/dev/null;"
        "COMP_WORDS=(shhq-hs sta); COMP_CWORD=1; _shtab_shhq_hs; echo ${COMPREPLY[@]};"
        "COMP_WORDS=(shhq-hs run --clu); COMP_CWORD=2; COMPREPLY=(); _shtab_shhq_hs; echo ${COMPREPLY[@]}"
    )
    told = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["status", "--cluster"]


def test_no_command_colours_its_words(out, capsys):
    """Nothing for NO_COLOR to turn off; what a file or an image says cannot colour them, either."""
    main(["errors", str(out)])
    main(["status", str(out)])
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
