"""errors, retry and verify: what operators do with a data set that lost images or was damaged."""

import re
import shutil

import pytest

from dataprep.errors import ConfigError, StoreError
from pipelines import paper_stages
from pipelines.commands.errors import print_errors
from pipelines.commands.retry import retry
from pipelines.commands.verify import verify
from pipelines.engine.last_run import remember
from pipelines.main import main
from tests import fake_dataset
from tests.pipelines.outage import Fragile, build
from tests.pipelines.test_run import payload, run_serial
from tests.pipelines.toy import make_photos


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    make_photos(folder, 20)
    return folder


@pytest.fixture
def after_outage(photos, tmp_path, monkeypatch):
    """Built while images ...5.png failed; the outage is over."""
    monkeypatch.setattr(Fragile, "outage", True)
    monkeypatch.setattr(Fragile, "outage_digit", "5")
    build(photos, tmp_path, command="shhq-hs run the photos")
    monkeypatch.setattr(Fragile, "outage", False)
    return tmp_path


def test_errors_groups_every_lost_row_and_names_it(after_outage, capsys):
    print_errors(after_outage, "", "", "", with_tracebacks=False)
    text = capsys.readouterr().out
    assert "ingest: rejected, undecodable: 1 image\n" in text
    assert "brightness: error, ConnectionError: 2 images\n" in text
    assert "brightness: rejected, dark: 2 images\n" in text
    for path in ("broken0.jpg", "photo0005.png", "photo0015.png", "photo0003.png", "photo0013.png"):
        assert text.count(path) == 1
    assert "5 rows that are not ok" in text
    assert "shhq-hs run the photos" in text


def test_errors_chooses_and_shows_tracebacks(after_outage, capsys):
    print_errors(after_outage, "brightness", "error", "ConnectionError", with_tracebacks=True)
    text = capsys.readouterr().out
    assert text.count(".png") == 2
    assert text.count("| ConnectionError: the model server is away") == 2
    with pytest.raises(ConfigError, match="expected of ingest, brightness, inverted"):
        print_errors(after_outage, "brihtness", "", "", with_tracebacks=False)
    with pytest.raises(ConfigError, match="--status lost"):
        print_errors(after_outage, "", "lost", "", with_tracebacks=False)


def test_retry_ends_in_the_bytes_of_an_undisturbed_run(photos, after_outage, undisturbed, capsys):
    assert payload(after_outage) != payload(undisturbed)
    assert build(photos, after_outage).plan.is_empty, "a failed row is a result: it is not tried again by itself"
    assert retry(after_outage, "brightness", "error,timeout,crash", "") == 0
    assert "brightness: 2 images in 2 parts" in capsys.readouterr().out
    plan = build(photos, after_outage).plan
    assert [len(stage.todo) for stage in plan.stages] == [0, 2, 2]
    assert payload(after_outage) == payload(undisturbed)
    assert retry(after_outage, "", "error", "") == 1, "nothing is left to retry"


def test_retry_by_reason_chooses_and_rules_say_the_same_again(photos, tmp_path, undisturbed):
    build(photos, tmp_path)
    assert retry(tmp_path, "", "rejected", "other") == 1
    assert payload(tmp_path) == payload(undisturbed)
    assert retry(tmp_path, "", "rejected", "dark") == 0
    assert payload(tmp_path) != payload(undisturbed)
    build(photos, tmp_path)
    assert payload(tmp_path) == payload(undisturbed)


def test_verify_finds_nothing_wrong_with_a_fresh_build(undisturbed, capsys):
    assert verify_toy(undisturbed, capsys) == []


def verify_toy(out, capsys):
    """Defects by `verify --deep`; a toy has no manifest, which is said and left out here."""
    verify(out, deep=True)
    lines = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    return [line for line in lines if line != "manifest: not built yet"]


def flip(path, at):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def the(out, pattern):
    return next(iter(sorted(out.glob(pattern))))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda out: the(out, "stages/inverted-*/part-000002.parquet").unlink(), "inverted: part 2 is missing"),
        (lambda out: the(out, "stages/brightness-*/part-000001.tar").unlink(), "part-000001.tar is missing"),
        (lambda out: the(out, "stages/brightness-*/part-000001.tar").write_bytes(b"x"), "has 1 bytes"),
        (lambda out: flip(the(out, "stages/brightness-*/part-000001.tar"), 600), "other bytes than were written"),
        (lambda out: flip(the(out, "stages/brightness-*/part-000001.parquet"), 40), "is damaged"),
        (lambda out: (out / "listing.txt").write_text("shorter"), "listing.txt has other bytes"),
        (lambda out: (out / "listing.txt").unlink(), "listing.txt is missing"),
    ],
)  # fmt: skip
def test_verify_names_what_is_damaged(photos, tmp_path, capsys, damage, words):
    build(photos, tmp_path)
    damage(tmp_path)
    (defect,) = verify_toy(tmp_path, capsys)
    assert words in defect


def test_what_verify_finds_the_next_run_repairs(photos, tmp_path, undisturbed, capsys):
    build(photos, tmp_path)
    for pattern in ("stages/brightness-*/part-000001.parquet", "listing.txt"):
        the(tmp_path, pattern).unlink()
    build(photos, tmp_path)
    assert verify_toy(tmp_path, capsys) == []
    assert payload(tmp_path) == payload(undisturbed)


def test_a_folder_without_a_data_set_is_the_users_error(tmp_path, capsys):
    for verb in ("errors", "retry", "verify"):
        assert main([verb, str(tmp_path)]) == 2
        assert "no index.parquet" in capsys.readouterr().err
    with pytest.raises(StoreError):
        retry(tmp_path, "", "", "")


# --- near-duplicates, reasons, variants --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def with_near_duplicates(tmp_path_factory):
    """Real columns; all portraits have one hash, so that all but one are near-duplicates."""
    folder = tmp_path_factory.mktemp("near")
    fake_dataset.make_photos(folder / "photos", 5, broken=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake_dataset, "_known", same_hash(fake_dataset._known))
        ends = {"text0.png": fake_dataset.End("ingest", reason="undecodable")}
        view = fake_dataset.make_dataset(folder / "photos", folder / "out", ends, small=True)
    remember(view.store, paper_stages.build())
    return folder / "out"


def same_hash(known):
    return lambda *arguments: known(*arguments) | {"portrait_dhash": b"\0" * 32}


def test_errors_lists_near_duplicates_too(with_near_duplicates, capsys):
    assert main(["errors", str(with_near_duplicates)]) == 0
    said = capsys.readouterr().out
    assert "manifest: rejected, near_duplicate: 4 images" in said
    assert said.count(".jpg  almost the same picture as another") == 4
    assert "5 rows that are not ok" in said
    assert main(["errors", str(with_near_duplicates), "--stage", "manifest"]) == 0
    assert "4 rows that are not ok" in capsys.readouterr().out


def test_errors_says_when_there_is_no_such_reason_or_stage(with_near_duplicates, capsys):
    assert main(["errors", str(with_near_duplicates), "--reason", "near_duplicat"]) == 1
    said = capsys.readouterr().out
    assert (
        "no image was lost for the reason 'near_duplicat'; the reasons there are: near_duplicate, undecodable" in said
    )
    assert main(["errors", str(with_near_duplicates), "--stage", "manifes"]) == 2
    assert "expected of ingest, detect" in capsys.readouterr().err


def test_retry_does_not_break_shards_build(with_near_duplicates, tmp_path, capsys):
    out = tmp_path / "out"
    shutil.copytree(with_near_duplicates, out)
    assert main(["select", str(out), "selected", "-o", str(tmp_path / "s.parquet")]) == 0
    build_shards = ["shards", "build", str(out), "--subset", str(tmp_path / "s.parquet"), "--out"]
    assert main([*build_shards, str(tmp_path / "before")]) == 0
    assert main(["retry", str(out), "--status", "rejected"]) == 0
    assert not list(out.glob("stages/matte-*/part-000001.*")), "it waits to be computed again"
    assert main([*build_shards, str(tmp_path / "after")]) == 0
    assert payload(tmp_path / "after") == payload(tmp_path / "before")


def test_prune_shows_and_removes_what_no_longer_serves(photos, tmp_path, capsys):
    run_serial(photos, tmp_path / "out")
    run_serial(photos, tmp_path / "fresh", offset=5.0)
    run_serial(photos, tmp_path / "out", offset=5.0)
    (tmp_path / "out/stages/notes").mkdir()
    assert main(["prune", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    (variant,) = re.findall(r"inverted-[0-9a-f]{16}", said)
    assert f"shhq-hs prune {tmp_path / 'out'} --yes" in said
    assert (tmp_path / "out/stages" / variant).is_dir(), "shown first"
    assert main(["prune", str(tmp_path / "out"), "--yes"]) == 0
    assert "1 variant, " in capsys.readouterr().out
    assert payload(tmp_path / "out") == payload(tmp_path / "fresh")
    assert main(["prune", str(tmp_path / "out")]) == 0
    assert "nothing to prune" in capsys.readouterr().out
    assert run_serial(photos, tmp_path / "out", offset=5.0).plan.is_empty
