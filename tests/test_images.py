"""Decoding: upright 8-bit RGB or a reason in words."""

import io

import numpy as np
import pytest
from PIL import Image

from dataprep.errors import Rejected
from dataprep.images import decode_mask, decode_rgb, encode_png


def encoded(array, kind="PNG", mode=None, **options):
    buffer = io.BytesIO()
    Image.fromarray(array, mode).save(buffer, kind, **options) if mode else Image.fromarray(array).save(
        buffer, kind, **options
    )
    return buffer.getvalue()


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def test_png_round_trip_is_lossless_and_deterministic(rgb):
    np.testing.assert_array_equal(decode_rgb(encode_png(rgb)), rgb)
    assert encode_png(rgb) == encode_png(rgb.copy())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_out_upright(rgb, orientation):
    smooth = np.asarray(Image.fromarray(rgb).resize((80, 48)))
    turned = {
        1: smooth, 2: smooth[:, ::-1], 3: smooth[::-1, ::-1], 4: smooth[::-1], 5: smooth.transpose(1, 0, 2),
        6: np.rot90(smooth, 1), 7: smooth[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(smooth, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(np.ascontiguousarray(turned), "PNG", exif=exif)
    np.testing.assert_array_equal(decode_rgb(data), smooth)


def test_transparent_pixels_become_white(rgb):
    rgba = np.dstack([rgb, np.zeros(rgb.shape[:2], np.uint8)])
    assert (decode_rgb(encoded(rgba)) == 255).all()


@pytest.mark.parametrize("mode", ["L", "CMYK", "P"])
def test_other_eight_bit_modes_are_read(rgb, mode):
    buffer = io.BytesIO()
    Image.fromarray(rgb).convert(mode).save(buffer, "TIFF" if mode == "CMYK" else "PNG")
    assert decode_rgb(buffer.getvalue()).shape == rgb.shape


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda rgb: b"", "empty_file"),
        (lambda rgb: b"only some text", "undecodable"),
        (lambda rgb: encoded(rgb, "JPEG")[:300], "undecodable"),
        (lambda rgb: encoded(rgb)[:100], "undecodable"),
        (lambda rgb: encoded(rgb[..., 0].astype(np.uint16) * 257), "unsupported_mode"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_its_reason(rgb, make, reason):
    with pytest.raises(Rejected) as caught:
        decode_rgb(make(rgb))
    assert caught.value.reason == reason


def test_a_decompression_bomb_is_refused_before_it_unpacks():
    bomb = encoded(np.zeros((20000, 10000), np.uint8))
    assert len(bomb) < 300_000
    with pytest.raises(Rejected) as caught:
        decode_rgb(bomb)
    assert caught.value.reason == "too_large"


def test_masks_of_any_kind_become_grey(rgb):
    mask = np.zeros((24, 40), np.uint8)
    mask[5:10] = 255
    np.testing.assert_array_equal(decode_mask(encoded(mask)), mask)
    np.testing.assert_array_equal(decode_mask(encoded(np.dstack([mask] * 3))), mask)
