"""Videos and photographs in one folder: one data set, whatever dies on the way."""

import hashlib
import shutil
import sys
from collections import defaultdict

import cv2
import numpy as np
import pytest
from PIL import Image

from dataprep.errors import ConfigError, Damaged
from dataprep.inputs import frame_inputs
from dataprep.inputs.gathering import Clips, Gathering
from dataprep.tables.sealed import read_table
from dataprep.tables.store import Store
from pipelines.commands.prune import unused
from pipelines.commands.retry import retry
from pipelines.commands.verify import defects_of, verify
from pipelines.engine import gather
from pipelines.engine.index import read_index
from pipelines.engine.run import run
from pipelines.executors.serial_executor import SerialExecutor
from tests.pipelines.kills import ROOT, kill_until_done, plan_kills
from tests.pipelines.test_run import payload
from tests.pipelines.toy import make_photos, toy_dag
from tests.tracking.clips import CLIP, clip_pictures, write_video


def built(source, out, **wanted):
    with SerialExecutor() as executor:
        gathering = Gathering(**({"clips": Clips(frames_per_s=0.5)} | wanted))
        outcome = run(source, out, toy_dag(), executor, 1.0, gathering=gathering)
    assert not outcome.failed
    return read_index(out)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Twelve photographs and two videos, one of them in two pieces."""
    folder = tmp_path_factory.mktemp("mixed")
    make_photos(folder, 11)
    pictures = [cv2.resize(rgb, (96, 96), interpolation=cv2.INTER_AREA) for rgb in clip_pictures(0, 25)]
    (folder / "films").mkdir()
    write_video(folder / "films/short.mp4", pictures)
    write_video(folder / "films/long.mp4", pictures * 2, rate=2, key_every=10)
    return folder


def test_videos_and_photographs_become_one_data_set(mixed, tmp_path):
    index = built(mixed, tmp_path / "out")
    rows = {row["source_path"]: row for part in {s.part for s in index}
            for row in Store(tmp_path / "out").rows(toy_dag().refs["ingest"], part)}  # fmt: skip
    frames = [row for row in rows.values() if row["clip"]]
    assert {row["clip"] for row in frames} == {"films/short.mp4", "films/long.mp4"}
    assert len(rows) == 12 + len(frames)
    assert all(row["status"] == "ok" and row["source_width"] == 96 for row in frames)
    assert all(row["source_path"] == f"{row['clip']}#t={row['clip_time_s']:09.3f}" for row in frames)
    assert max(row["clip_time_s"] for row in frames) > 15
    assert defects(tmp_path / "out") == []


def defects(out):
    """What is wrong; the toy stages make no manifest."""
    return [found for found in defects_of(out, deep=True).defects if found != "manifest: not built yet"]


def test_a_finished_piece_is_never_decoded_again(mixed, tmp_path, monkeypatch):
    """The first run dies in the second piece; the next one begins there, and ends with the same bytes."""
    whole = tmp_path / "whole"
    built(mixed, whole)
    taken = []

    def dies(task):
        taken.append((task.path, task.number))
        if len(taken) == 2:
            raise KeyboardInterrupt
        return frame_inputs.take_frames(task)

    monkeypatch.setattr(gather, "take_frames", dies)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        built(mixed, out)
    monkeypatch.setattr(gather, "take_frames", lambda task: taken.append((task.path, task.number))
                        or frame_inputs.take_frames(task))  # fmt: skip
    built(mixed, out)
    assert taken.count(taken[0]) == 1
    assert taken.count(taken[1]) == 2
    assert payload(out) == payload(whole)
    built(mixed, out)
    assert len(taken) == 5  # three pieces and one, and the one that died: nothing is left to do


def test_another_rate_keeps_what_is_known_and_prune_takes_the_rest(mixed, tmp_path):
    first = {s.path: s.part for s in built(mixed, tmp_path / "out")}
    second = {s.path: s.part for s in built(mixed, tmp_path / "out", clips=Clips(frames_per_s=1.0))}
    stays = first.keys() & second.keys()
    assert len(second) > len(first)
    assert len(stays) >= 12
    assert all(first[path] == second[path] for path in stays)
    old = unused(Store(tmp_path / "out"), read_index(tmp_path / "out"))
    assert len([one for one in old if one.folder.parent.name == "clips"]) == 2


def test_damaged_frames_are_named_and_taken_again(mixed, tmp_path, capsys):
    out = tmp_path / "out"
    frame = next(source for source in built(mixed, out) if source.place and "piece-00001" in source.place)
    before = payload(out)
    tar = out / frame.place.removeprefix("out:")
    data = bytearray(tar.read_bytes())
    data[frame.offset + 200] ^= 255
    tar.write_bytes(data)
    (found,) = defects(out)
    assert str(tar) in found
    shutil.rmtree(out / "stages")
    with pytest.raises(Damaged, match="verify"):
        built(mixed, out)
    verify(out, deep=True, repair=True)
    built(mixed, out)
    assert payload(out) == before


def test_what_is_no_video_keeps_its_row(mixed, tmp_path):
    folder = tmp_path / "source"
    shutil.copytree(mixed, folder)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    index = {source.path: source for source in built(folder, tmp_path / "out")}
    assert index["broken.mp4"].refused.startswith("no_video: not a video")


def test_retry_looks_again_at_what_was_no_video(mixed, tmp_path, monkeypatch):
    """As with a decoder that was installed since."""
    read = frame_inputs.pieces_of

    def cannot(file):
        raise ConfigError(f"{file}: not a video")

    monkeypatch.setattr(frame_inputs, "pieces_of", cannot)
    built(mixed, tmp_path / "out")
    monkeypatch.setattr(frame_inputs, "pieces_of", read)
    assert sum(source.clip is not None for source in built(mixed, tmp_path / "out")) == 0
    assert retry(tmp_path / "out", "", "", "no_video") == 0
    assert {source.path: source.sha256 for source in built(mixed, tmp_path / "out")} == {
        source.path: source.sha256 for source in built(mixed, tmp_path / "fresh")
    }


def test_a_single_video_is_a_source(mixed, tmp_path):
    index = built(mixed / "films", tmp_path / "out", given="short.mp4")
    assert {source.clip for source in index} == {"short.mp4"}


def test_a_first_look_draws_by_names_and_grows(mixed, tmp_path):
    few = {source.path for source in built(mixed, tmp_path / "out", limit=5)}
    assert len(few) == 5
    more = {source.path for source in built(mixed, tmp_path / "out", limit=9)}
    assert len(more) == 9
    assert few <= more
    every = {source.path for source in built(mixed, tmp_path / "out")}
    assert more <= every
    some = {source.path for source in built(mixed, tmp_path / "other", sample=0.5)}
    assert 1 < len(some) < len(every)
    # What a data set has already stays, however small the look.
    assert {source.path for source in built(mixed, tmp_path / "out", limit=2)} == every


def zoomed(photo, count):
    """A photograph that a camera slowly comes nearer to and passes along."""
    height, width = photo.shape[0] // 2 * 2, photo.shape[1] // 2 * 2
    for i in range(count):
        scale = 1.0 + 0.15 * i / count
        shift = 0.04 * width * np.sin(i / count * 6)
        matrix = np.array([[scale, 0, (1 - scale) * width / 2 + shift], [0, scale, 0]])
        yield cv2.warpAffine(photo, matrix, (width, height), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.slow
def test_three_videos_and_ten_photographs_killed_and_resumed(tmp_path):
    """The whole pipeline. Two of the videos show people of photographs in the same folder."""
    source, samples = tmp_path / "source", ROOT / "samples" / "people"
    source.mkdir()
    for number in range(1, 11):
        shutil.copy(samples / "no_segment" / f"p{number:03d}.jpg", source)
    shutil.copy(CLIP / "talking.mp4", source / "talking.mp4")
    for name, count in (("p002", 250), ("p004", 60)):
        photo = np.asarray(Image.open(samples / "no_segment" / f"{name}.jpg").convert("RGB"))
        write_video(source / f"{name}_film.mp4", list(zoomed(photo, count)), rate=12, key_every=24)
    command = [
        sys.executable, "-m", "pipelines.main", "run", str(source), "--workers", "2", "--set", "superres.model=span",
        "--set", "superres.precision=float32", "--set", "clips.frames_per_s=0.5", "--set", "manifest.val_fraction=0.4",
        "--set", "manifest.keep_near_duplicates=yes",
    ]  # fmt: skip
    undisturbed, out = tmp_path / "undisturbed", tmp_path / "out"

    def files(folder):
        return lambda: sum(1 for pattern in ("inputs/clips/*/piece-*.parquet", "stages/*/part-*.parquet")
                           for _ in folder.glob(pattern))  # fmt: skip

    assert kill_until_done([*command, "--out", str(undisturbed)], files(undisturbed), [], timeout_s=3600) == []
    hit = kill_until_done(
        [*command, "--out", str(out)], files(out), plan_kills(8, seed=1, most_files=4), timeout_s=2400
    )
    assert len(hit) == 8
    assert payload(out) == payload(undisturbed)
    assert defects_of(out, deep=True).defects == ()
    rows = read_table(out / "manifest.parquet").to_pylist()
    chosen = [row for row in rows if row["split"]]
    splits = defaultdict(set)
    for row in chosen:
        splits["person", row["person"]].add(row["split"])
        if row["clip"]:
            splits["clip", row["clip"]].add(row["split"])
    assert all(len(some) == 1 for some in splits.values()), splits
    assert {row["split"] for row in chosen} == {"train", "val"}
    assert len({row["clip"] for row in chosen if row["clip"]}) == 3
    assert all(row["clip_time_s"] is not None for row in rows if row["clip"])
    # A film of a photograph's person shares the person, and so the split, with the photograph.
    people = defaultdict(set)
    for row in chosen:
        people[row["person"]].add(row["clip"] or row["source_path"])
    assert any({"p002.jpg", "p002_film.mp4"} <= names for names in people.values())


def test_digest_of_a_frame_is_that_of_its_file(mixed, tmp_path):
    index = built(mixed, tmp_path / "out")
    for source in (one for one in index if one.clip):
        data = (tmp_path / "out" / source.place.removeprefix("out:")).read_bytes()[source.offset :][: source.size]
        assert hashlib.sha256(data).digest() == source.sha256
