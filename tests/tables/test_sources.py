"""The index: what is an input, stable ids, parts that stay, duplicates, SHHQ's layout."""

import numpy as np
import pytest
from PIL import Image

from dataprep.errors import ConfigError
from dataprep.tables import sources


def put(path, value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(path)


@pytest.fixture
def shhq(tmp_path):
    for i in range(3):
        put(tmp_path / f"no_segment/{i}.png", i)
        put(tmp_path / f"segments/{i}.png", 100 + i)
    put(tmp_path / "other/3.png", 3)
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_bytes(b"")
    return tmp_path


def test_masks_belong_to_their_image_and_are_no_inputs(shhq):
    found = sources.scan(shhq)
    assert [s.path for s in found] == ["no_segment/0.png", "no_segment/1.png", "no_segment/2.png", "other/3.png"]
    assert [s.mask_path for s in found] == ["segments/0.png", "segments/1.png", "segments/2.png", None]
    assert [s.dataset for s in found] == ["shhq"] * 3 + ["folder"]


def test_a_folder_called_segments_without_images_beside_it_holds_inputs(tmp_path):
    put(tmp_path / "segments/a.png")
    assert [s.path for s in sources.scan(tmp_path)] == ["segments/a.png"]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/a.jpg", "masks/a.png"),
        ("Images/a.JPG", "MASKS/a.PNG"),
        ("images/a.jpg", "mask/a.webp"),
        ("set/image/x/y/a.png", "set/mask/x/y/a.bmp"),
        ("photos/a.jpg", "mattes/a.tif"),
        ("images/a.jpg", "masks/a.jpg.png"),
        ("images/a.jpg", "masks/a_mask.gif"),
        ("images/A.jpg", "masks/a.jpeg"),
        ("No_Segment/a.jpg", "Segments/a.tiff"),
        ("images/train/images/a.jpg", "images/train/masks/a.png"),
    ],
)
def test_masks_of_usual_folders_and_suffixes_in_any_case(tmp_path, image, mask):
    put(tmp_path / image)
    put(tmp_path / mask, 1)
    (source,) = sources.scan(tmp_path)
    assert (source.path, source.mask_path) == (image, mask)


def test_of_several_masks_one_is_used_and_the_others_are_named(tmp_path):
    put(tmp_path / "images/a.jpg")
    for i, name in enumerate(("a.jpg", "a.png", "A.png", "b.png")):
        put(tmp_path / "masks" / name, i)
    survey = sources.survey(tmp_path)
    assert [source.mask_path for source in survey.inputs] == ["masks/a.png"]
    assert survey.unused_masks == ["masks/A.png", "masks/a.jpg", "masks/b.png"]


def test_a_folder_called_masks_that_matches_no_photograph_holds_photographs(tmp_path):
    put(tmp_path / "images/a.jpg")
    put(tmp_path / "masks/surgical.jpg", 1)
    survey = sources.survey(tmp_path)
    assert [source.path for source in survey.inputs] == ["images/a.jpg", "masks/surgical.jpg"]
    assert survey.unused_masks == []


def test_parsing_maps_are_neither_inputs_nor_masks(shhq):
    put(shhq / "Parsing/0.png", 9)
    survey = sources.survey(shhq)
    assert len(survey.inputs) == 4
    assert survey.unused_masks == []


def test_what_is_no_photograph_is_counted_by_its_suffix(shhq):
    for name in ("a.CR2", "b.cr2", "README", "openpose.txt"):
        (shhq / name).write_bytes(b"x")
    assert sources.survey(shhq).ignored == {"": 1, ".cr2": 2, ".txt": 1}


@pytest.mark.parametrize("suffix", ["avif", "heic", "HEIF", "jfif", "webp", "bmp", "tif", "TIFF", "jpe"])
def test_every_format_of_photographs_is_an_input(tmp_path, suffix):
    (tmp_path / f"a.{suffix}").write_bytes(b"not read yet")
    assert len(sources.scan(tmp_path)) == 1


def test_openpose_text_is_matched_by_file_name(shhq):
    numbers = " ".join(map(str, range(50)))
    (shhq / "openpose.txt").write_text(f"1.png {numbers}\nbroken 1 2\n")
    assert [s.openpose for s in sources.scan(shhq)] == [None, numbers, None, None]


def test_openpose_text_never_reaches_a_neighbouring_folder(tmp_path):
    for i, folder in enumerate("ab"):
        put(tmp_path / folder / "1.png", i)
        (tmp_path / folder / "openpose.txt").write_text("1.png " + " ".join([str(i)] * 50))
    put(tmp_path / "c" / "1.png", 7)
    assert [s.openpose and s.openpose[0] for s in sources.scan(tmp_path)] == ["0", "1", None]


def test_a_data_set_of_ours_below_the_source_is_no_input(tmp_path):
    put(tmp_path / "a.png")
    put(tmp_path / "out" / "report" / "accepted.png")
    for name in sources.DATASET_FILES:
        (tmp_path / "out" / name).write_bytes(b"")
    assert [s.path for s in sources.scan(tmp_path)] == ["a.png"]


def test_ids_depend_on_path_and_bytes_not_on_the_root(shhq, tmp_path_factory):
    first = sources.identify(shhq, sources.scan(shhq))
    moved = tmp_path_factory.mktemp("elsewhere") / "moved"
    shhq.rename(moved)
    again = sources.identify(moved, sources.scan(moved))
    assert [s.sample_id for s in first] == [s.sample_id for s in again]
    assert len({s.sample_id for s in first}) == len(first)


def test_known_digests_are_not_read_again(shhq):
    cache = {}
    first = sources.identify(shhq, sources.scan(shhq), cache)
    for state in cache:
        cache[state] = bytes(32)
    second = sources.identify(shhq, sources.scan(shhq), cache)
    assert all(s.sha256 == bytes(32) for s in second)
    assert first != second


def test_new_inputs_are_appended_and_old_ones_keep_their_part(shhq):
    first = sources.arrange(sources.identify(shhq, sources.scan(shhq)), [], part_size=2)
    assert [s.part for s in first] == [0, 0, 1, 1]
    put(shhq / "a_first_in_order.png", 9)
    second = sources.arrange(sources.identify(shhq, sources.scan(shhq)), first, part_size=2)
    assert second[:4] == first
    assert (second[4].path, second[4].part) == ("a_first_in_order.png", 2)


def test_exact_duplicates_name_the_first(shhq):
    put(shhq / "z_copy.png", 1)
    arranged = sources.arrange(sources.identify(shhq, sources.scan(shhq)), [], 64)
    by_path = {s.path: s for s in arranged}
    assert by_path["z_copy.png"].duplicate_of == "no_segment/1.png"
    assert sum(s.duplicate_of is not None for s in arranged) == 1


@pytest.mark.parametrize(("inputs", "size"), [(1, 4), (255, 4), (256, 64), (40_000, 64), (262_143, 64), (262_144, 256)])
def test_part_size_depends_on_the_number_of_inputs_alone(inputs, size):
    assert sources.part_size_for(inputs) == size


def test_an_empty_or_missing_folder_is_the_users_error(tmp_path):
    with pytest.raises(ConfigError, match="no image file"):
        sources.scan(tmp_path)
    with pytest.raises(ConfigError, match="not a folder"):
        sources.scan(tmp_path / "missing")


# --- links that lead out of the folder -----------------------------------------------------------------------------


@pytest.fixture
def linked(shhq, tmp_path_factory):
    """SHHQ's layout with an image, a mask and an image elsewhere that are links: out, out, and within."""
    outside = tmp_path_factory.mktemp("outside")
    put(outside / "private.png", 77)
    (shhq / "other/private.png").symlink_to(outside / "private.png")
    (shhq / "segments/2.png").unlink()
    (shhq / "segments/2.png").symlink_to(outside / "private.png")
    (shhq / "other/within.png").symlink_to("../no_segment/0.png")
    (shhq / "other/up").symlink_to(outside, target_is_directory=True)
    return shhq


def refusals(found):
    return {source.path: source.refused for source in found if source.refused}


def test_links_that_lead_out_are_refused_and_told(linked):
    links = sources.Links()
    found = sources.identify(linked, sources.scan(linked, links=links))
    refused = refusals(found)
    assert set(refused) == {"other/private.png", "no_segment/2.png"}
    assert refused["other/private.png"].startswith("link_outside: it is a link that leads out of SOURCE")
    assert refused["no_segment/2.png"].startswith("link_outside: its mask: it is a link")
    assert sorted(links.out) == ["other/private.png", "segments/2.png"]
    assert all(source.sha256 is None for source in found if source.refused)


def test_links_that_lead_out_are_followed_when_asked(linked):
    links = sources.Links(follow=True)
    found = sources.identify(linked, sources.scan(linked, links=links))
    assert not refusals(found)
    assert {source.path: source.mask_path for source in found}["no_segment/2.png"] == "segments/2.png"
    assert len(links.out) == 2


def test_a_digest_known_from_a_run_that_followed_is_not_used_by_one_that_does_not(linked):
    cache = {}
    sources.identify(linked, sources.scan(linked, links=sources.Links(follow=True)), cache)
    assert len(refusals(sources.identify(linked, sources.scan(linked), cache))) == 2


def test_key_points_behind_such_a_link_are_the_users_error(linked, tmp_path_factory):
    text = tmp_path_factory.mktemp("text") / "openpose.txt"
    text.write_text("1.png " + " ".join(["7"] * 50))
    (linked / "openpose.txt").symlink_to(text)
    with pytest.raises(ConfigError, match=r"openpose\.txt holds key points of the images, but it is a link"):
        sources.scan(linked)
    found = sources.scan(linked, links=sources.Links(follow=True))
    assert sum(source.openpose is not None for source in found) == 1


def test_the_command_says_what_became_of_links(linked, tmp_path_factory, capsys):
    from pipelines.main import main

    out = tmp_path_factory.mktemp("out")
    main(["run", str(linked), "--out", str(out), "--until", "ingest", "--cluster", "serial"])
    assert "2 links lead out of SOURCE (" in (said := capsys.readouterr().err)
    assert "are not followed; --follow-links reads them" in said
    main(["plan", str(linked), "--out", str(out), "--follow-links"])
    assert "and are followed" in capsys.readouterr().err
