"""`show` finds the sample that is meant, tells its story, and says clearly when it cannot."""

import io

import numpy as np
import pytest
from PIL import Image

from dataprep.errors import ConfigError, ShhqError
from dataprep.frames.face_frames import align
from dataprep.models.face.bfm import load_face
from dataprep.report.story import reprojected_landmarks
from dataprep.tables.sources import Source
from pipelines.commands.show import find_sample, show
from tests.fake_dataset import End, make_dataset, make_photos

INDEX = [
    Source("a/one.jpg", 1, sample_id="1234aaaa" + "0" * 24),
    Source("b/one.jpg", 1, sample_id="1234bbbb" + "0" * 24),
    Source("b/two.jpg", 1, sample_id="feed0000" + "0" * 24),
]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("feed0000" + "0" * 24, 2),
        ("FEED", 2),
        ("1234a", 0),
        ("a/one.jpg", 0),
        ("./b/one.jpg", 1),
        ("two.jpg", 2),
        ("two", 2),
        ("/data/photos/b/one.jpg", 1),
    ],
)
def test_finds_a_sample_by_id_prefix_or_path(asked, found):
    assert find_sample(INDEX, asked) is INDEX[found]


def test_what_is_not_unique_names_the_candidates():
    for asked in ("1234", "one.jpg", "one"):
        with pytest.raises(ConfigError, match=r"not unique.*a/one\.jpg.*b/one\.jpg"):
            find_sample(INDEX, asked)


def test_what_does_not_exist_names_what_is_near():
    with pytest.raises(ConfigError, match=r"no sample 'twoo\.jpg'.*b/two\.jpg \(feed0000\)"):
        find_sample(INDEX, "twoo.jpg")
    with pytest.raises(ConfigError, match=r"no sample '#'.*the first of 3: a/one\.jpg"):
        find_sample(INDEX, "#")


def test_a_folder_without_a_data_set_is_the_users_to_fix(tmp_path):
    with pytest.raises(ShhqError, match="no data set"):
        show(tmp_path, "x", None)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("show")
    make_photos(folder / "photos", 4, broken=1)
    ends = {
        "text0.png": End("ingest", reason="undecodable", message="the file is not an image"),
        "photo0001.jpg": End("body", "error", "ValueError", "it broke"),
        "photo0002.jpg": End("quality", reason="sharpness", message="the face is blurred"),
    }
    make_dataset(folder / "photos", folder / "out", ends)
    return folder


def picture_of(out, sample, capsys):
    path = out.parent / f"{sample}.png"
    assert show(out, sample, path) == 0
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        return np.asarray(image), capsys.readouterr().out


def test_an_accepted_image_has_its_whole_story(dataset, capsys):
    picture, text = picture_of(dataset / "out", "photo0000", capsys)
    assert "photo0000.jpg" in text
    assert "accepted: train shard 0, row" in text
    for expected in ("512 × 512 px", "250 px square", "head yaw, pitch, roll", "sharpness 0."):
        assert expected in text
    assert picture.shape[1] > 1500  # photographs, and four columns of two panels
    assert picture.std() > 20


def test_the_default_picture_lies_in_the_report(dataset, capsys):
    assert show(dataset / "out", "photo0003.jpg", None) == 0
    path = capsys.readouterr().out.rpartition("picture: ")[2].strip()
    assert path.startswith(str(dataset / "out" / "report" / "show"))
    assert Image.open(path).size[0] > 1500


def test_a_lost_image_says_where_and_has_fewer_panels(dataset, capsys):
    accepted, _ = picture_of(dataset / "out", "photo0000", capsys)
    failed, text = picture_of(dataset / "out", "photo0001", capsys)
    assert "error at body, ValueError: it broke" in text
    assert text.count("not reached") == 8
    assert failed.shape[1] < accepted.shape[1] / 2
    unreadable, text = picture_of(dataset / "out", "text0", capsys)
    assert "rejected at ingest, undecodable: the file is not an image" in text
    assert "without the photograph" in text
    assert unreadable.shape[0] < 100  # a heading alone


def test_a_judged_image_shows_scores_and_panels(dataset, capsys):
    accepted, _ = picture_of(dataset / "out", "photo0000", capsys)
    rejected, text = picture_of(dataset / "out", "photo0002", capsys)
    assert "rejected at quality, sharpness: the face is blurred" in text
    assert rejected.shape == accepted.shape


def test_before_the_manifest_the_story_is_open(dataset, capsys):
    manifest = dataset / "out" / "manifest.parquet"
    content = manifest.read_bytes()
    manifest.unlink()
    try:
        _, text = picture_of(dataset / "out", "photo0000", capsys)
    finally:
        manifest.write_bytes(content)
    assert "not finished" in text


def test_without_the_photographs_the_story_is_told_from_the_stages(dataset, capsys):
    whole, _ = picture_of(dataset / "out", "photo0000", capsys)
    (dataset / "photos").rename(dataset / "moved")
    try:
        picture, text = picture_of(dataset / "out", "photo0000", capsys)
    finally:
        (dataset / "moved").rename(dataset / "photos")
    assert "without the photograph" in text
    assert 800 < picture.shape[1] < whole.shape[1]


def test_the_3dmm_is_drawn_where_the_fit_put_it():
    """A frontal mean face at the reference's scale, moved to a known place of the portrait."""
    model = load_face()
    row = {
        "bfm_id": np.zeros(80, np.float32),
        "bfm_exp": np.zeros(64, np.float32),
        "bfm_angle": np.zeros(3, np.float32),
        "bfm_trans": np.zeros(3, np.float32),
        "face_alignment": np.array([0.5, 260.0, 210.0], np.float32),
    }
    landmarks = reprojected_landmarks(model, row)
    assert landmarks[8, 1] > landmarks[30, 1] > landmarks[27, 1]  # chin below nose tip below bridge
    assert landmarks[36, 0] < landmarks[45, 0]
    np.testing.assert_allclose(align(landmarks).scale, 0.5, rtol=0.05)
    np.testing.assert_allclose(landmarks[[36, 39, 42, 45]].mean(0), [260, 210 - 0.3 * 101.5 / 0.5], atol=12)
