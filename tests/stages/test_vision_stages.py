"""detect, superres and matte as stages, on the astronaut: columns of the declared shape, blobs, reasons."""

import hashlib
import re

import cv2
import numpy as np
import pytest
import skimage.data

from dataprep.errors import AssetError, ConfigError, Rejected
from dataprep.frames import geometry
from dataprep.frames.geometry import PORTRAIT_PX
from dataprep.pictures.codecs import decode_mask, decode_rgb, encode_png
from dataprep.stages.base import Item
from dataprep.stages.detect import Detect, _require_shoulders, parse_openpose
from dataprep.stages.matte import Matte
from dataprep.stages.superres import SuperRes, portrait_of, reduced
from dataprep.tables.columns import table_from_rows
from tests.onnx_files import write_network

CROP = geometry.square_from_source(np.array([225.0, 150.0]), 300.0, 0.0, 150)


def no_blob(name):
    raise KeyError(name)


def item_of(folder, image, mask=None, openpose=None):
    row = {"source_path": "a.png", "mask_path": None, "openpose": openpose}
    (folder / "a.png").write_bytes(encode_png(image))
    row["source_sha256"] = hashlib.sha256((folder / "a.png").read_bytes()).digest()
    if mask is not None:
        (folder / "mask.png").write_bytes(encode_png(mask))
        row |= {
            "mask_path": "mask.png",
            "mask_sha256": hashlib.sha256((folder / "mask.png").read_bytes()).digest(),
        }
    return Item("0" * 32, row, folder, no_blob)


@pytest.fixture(scope="module")
def photo():
    return np.ascontiguousarray(skimage.data.astronaut())


@pytest.fixture(scope="module")
def tools():
    return Detect().load()


@pytest.fixture(scope="module")
def detected(photo, tools, tmp_path_factory):
    numbers = " ".join(str(n) for n in [0, 0, *range(1, 49)])
    return Detect().process_item(item_of(tmp_path_factory.mktemp("d"), photo, openpose=numbers), tools)


@pytest.fixture(scope="module")
def enlarged(photo):
    stage = SuperRes(model="span", precision="float32", device="cpu")
    crop = encode_png(geometry.resample(photo, CROP, 150))
    row = {"crop_native_from_source": CROP.astype(np.float32)}
    item = Item("0" * 32, row, None, {"crop.png": crop}.__getitem__)
    (result,) = stage.process([item], stage.load())
    return result


def test_detect_fills_every_declared_column(detected):
    assert detected.status == "ok"
    assert set(detected.columns) == {column.name for column in Detect.columns}
    assert table_from_rows(Detect.columns, [detected.columns]).num_rows == 1
    assert detected.columns["mask_supplied"] is False
    assert decode_mask(detected.blobs["mask.png"]).shape == (512, 512)
    np.testing.assert_array_equal(detected.columns["openpose25"][:2], [[0, 0, 0], [1, 2, 1]])


def hard(detected):
    """A mask as a data set might supply it: two values, a little wider than the found one."""
    return cv2.dilate(255 * (decode_mask(detected.blobs["mask.png"]) > 127).astype(np.uint8), np.ones((5, 5), np.uint8))


def test_detect_takes_a_supplied_mask_that_fits(photo, tools, detected, tmp_path):
    mask = hard(detected)
    for stored in (mask, 255 - mask, mask // 255, mask // 2):
        result = Detect().process_item(item_of(tmp_path, photo, stored), tools)
        np.testing.assert_array_equal(decode_mask(result.blobs["mask.png"]), mask)
        assert result.columns["mask_supplied"] is True
        assert result.columns["mask_iou"] > 0.95
        assert result.columns["mask_refused"] is None
        np.testing.assert_array_equal(result.columns["landmarks68_px"], detected.columns["landmarks68_px"])
    half = Detect().process_item(item_of(tmp_path, photo, mask[::2, ::2]), tools)
    assert decode_mask(half.blobs["mask.png"]).shape == (512, 512)


MISFITS = {
    "not the same picture": lambda mask: mask[:300],
    "overlap by 0": lambda mask: np.roll(mask, 100, axis=1),  # it still holds the face's middle
    "map of body parts": lambda mask: mask // 255 * np.repeat(np.arange(1, 9, dtype=np.uint8), 64)[:, None],
}


@pytest.mark.parametrize("message", MISFITS)
def test_a_supplied_mask_that_does_not_fit_is_refused_or_replaced(photo, tools, detected, tmp_path, message):
    item = item_of(tmp_path, photo, MISFITS[message](hard(detected)))
    with pytest.raises(Rejected, match=message) as caught:
        Detect().process_item(item, tools)
    assert caught.value.reason == ("mask_undecodable" if "map" in message else "mask_mismatch")
    result = Detect(misfit_mask="replace").process_item(item, tools)
    assert result.blobs == detected.blobs
    assert result.columns["mask_supplied"] is False
    assert message in result.columns["mask_refused"]


def test_detect_refuses_a_tiny_face(photo, tools, tmp_path):
    with pytest.raises(Rejected, match="the face covers"):
        Detect(min_face_px=200.0).process_item(item_of(tmp_path, photo), tools)


def test_shoulders_below_the_photograph_are_refused():
    points = np.zeros((33, 3))
    points[[11, 12], 1] = 290.0, 310.0
    _require_shoulders(points, 300)
    points[[11, 12], 1] = 308.0, 330.0
    with pytest.raises(Rejected, match="ends 8 px above the shoulders") as caught:
        _require_shoulders(points, 300)
    assert caught.value.reason == "shoulders_out_of_frame"


def test_a_face_that_is_too_small_has_fewer_pixels_than_are_needed_in_print(photo, tools, detected, tmp_path):
    side_px = np.max(detected.columns["face_bbox_px"][2:] - detected.columns["face_bbox_px"][:2])
    for least_px in (np.floor(side_px), round(side_px), np.ceil(side_px), np.ceil(side_px) + 1):
        try:
            Detect(min_face_px=least_px).process_item(item_of(tmp_path, photo), tools)
        except Rejected as rejected:
            shown, needed = (float(word) for word in re.findall(r"[\d.]+", rejected.message))
            assert shown < needed == least_px
        else:
            assert round(side_px) >= least_px


def test_detect_names_its_models():
    names = [weight.name for weight in Detect().weights()]
    assert "mediapipe/pose_landmark/pose_landmark_full.tflite" in names
    assert all(len(weight.sha256) == 64 for weight in Detect().weights())


def test_openpose_text_has_fifty_numbers():
    assert parse_openpose(" ".join(["1"] * 50)).shape == (25, 3)
    with pytest.raises(ValueError, match="reshape"):
        parse_openpose("1 2 3")


def test_superres_gives_the_portrait_and_where_it_lies(enlarged, photo):
    portrait = decode_rgb(enlarged.blobs["superres.png"])
    assert portrait.shape == (PORTRAIT_PX, PORTRAIT_PX, 3)
    assert set(enlarged.columns) == {column.name for column in SuperRes.columns}
    assert table_from_rows(SuperRes.columns, [enlarged.columns]).num_rows == 1
    matrix = enlarged.columns["crop_from_source"]
    np.testing.assert_allclose(geometry.transform(matrix, np.array([[225.0, 150.0]])), [[256, 256]], atol=1e-3)
    assert enlarged.columns["upsampling"] == pytest.approx(512 / 300, rel=1e-5)
    direct = geometry.resample(photo, matrix, PORTRAIT_PX)
    assert np.abs(cv2.blur(direct, (9, 9)).astype(int) - cv2.blur(portrait, (9, 9))).mean() < 4


@pytest.mark.parametrize("side", [100, 128, 200])
def test_crops_of_any_size_become_portraits(side):
    crop = cv2.resize(skimage.data.astronaut()[:200, 100:300], (side, side), interpolation=cv2.INTER_AREA)
    portrait = portrait_of(cv2.resize(reduced(crop, max_px=150), None, fx=4, fy=4))
    assert portrait.shape == (PORTRAIT_PX, PORTRAIT_PX, 3)
    small = cv2.resize(portrait, (50, 50), interpolation=cv2.INTER_AREA).astype(int)
    assert np.abs(small - cv2.resize(crop, (50, 50), interpolation=cv2.INTER_AREA)).mean() < 3


def matte_item(detected, enlarged, supplied, mask=None):
    blobs = {"superres.png": enlarged.blobs["superres.png"], "mask.png": detected.blobs["mask.png"]}
    if mask is not None:
        blobs["mask.png"] = encode_png(mask)
    row = {**detected.columns, "crop_from_source": enlarged.columns["crop_from_source"], "mask_supplied": supplied}
    return Item("0" * 32, row, None, blobs.__getitem__)


@pytest.mark.parametrize("supplied", [False, True])
def test_matte_whitens_the_background_and_keeps_the_face(detected, enlarged, supplied):
    stage = Matte()
    result = stage.process_item(matte_item(detected, enlarged, supplied), stage.load())
    portrait, alpha = decode_rgb(result.blobs["portrait.png"]), decode_mask(result.blobs["alpha.png"])
    assert (portrait[:10, :100] == 255).all()
    assert (alpha[:10, :100] == 0).all()
    face = np.s_[130:230, 200:300]
    assert (alpha[face] == 255).all()
    np.testing.assert_array_equal(portrait[face], decode_rgb(enlarged.blobs["superres.png"])[face])
    assert 0.4 < result.columns["alpha_coverage"] < 0.75
    assert table_from_rows(Matte.columns, [result.columns]).num_rows == 1


@pytest.mark.parametrize("roll_rad", [0.0, 0.2])
@pytest.mark.parametrize("supplied", [False, True])
def test_nothing_outside_the_photograph_is_the_person(detected, enlarged, photo, supplied, roll_rad):
    matrix = geometry.square_from_source(np.array([225.0, 30.0]), 360.0, roll_rad, PORTRAIT_PX)
    mask = decode_mask(detected.blobs["mask.png"]).copy()
    mask[:40, 100:350] = 255  # the person reaches the upper edge
    item = matte_item(detected, enlarged, supplied, mask)
    blobs = {"superres.png": encode_png(geometry.resample(photo, matrix, PORTRAIT_PX)), "mask.png": encode_png(mask)}
    item = Item(item.sample_id, {**item.row, "crop_from_source": matrix}, None, blobs.__getitem__)
    stage = Matte()
    result = stage.process_item(item, stage.load())
    inside = geometry.resample(np.full(mask.shape, 255, np.uint8), matrix, PORTRAIT_PX, fill=0)
    alpha, portrait = decode_mask(result.blobs["alpha.png"]), decode_rgb(result.blobs["portrait.png"])
    assert (inside < 128).mean() > 0.2
    assert (alpha[inside < 128] == 0).all()
    assert (portrait[inside < 128] == 255).all()
    assert (alpha[inside > 250] > 250).mean() > 0.3
    assert result.columns["matte_faint_edge"] < 0.2


def test_matte_takes_the_users_network_and_names_its_file(detected, enlarged, tmp_path):
    def matte_by(weights):
        stage = Matte(model=str(write_network(tmp_path / "net.onnx", weights=weights, bias=0.0)), device="cpu")
        result = stage.process_item(matte_item(detected, enlarged, False), stage.load())
        return stage.weights()[0], decode_mask(result.blobs["alpha.png"])

    (first, bright), (second, dark) = matte_by((9.0, 9.0, 9.0)), matte_by((-9.0, -9.0, -9.0))
    assert first.name == second.name == "net.onnx"
    assert first.sha256 != second.sha256
    grey = decode_rgb(enlarged.blobs["superres.png"]).mean(axis=2)
    assert grey[bright > 200].mean() > 150 > grey[dark > 200].mean()  # the network alone is asked


def test_matte_refuses_settings_that_cannot_be(tmp_path):
    with pytest.raises(ConfigError, match=r"matte\.model is 'net\.pth', expected selfie or an \.onnx file"):
        Matte(model="net.pth")
    with pytest.raises(ConfigError, match="expected one of imagenet, unit_bgr"):
        Matte(model_input="rgb")
    with pytest.raises(AssetError, match=r"matte\.model=.*none\.onnx: no such file"):
        Matte(model=str(tmp_path / "none.onnx")).weights()


def test_matte_refuses_an_empty_mask(detected, enlarged):
    stage = Matte()
    empty = np.zeros((512, 512), np.uint8)
    with pytest.raises(Rejected, match=r"covers 0\.0%"):
        stage.process_item(matte_item(detected, enlarged, True, empty), stage.load())
