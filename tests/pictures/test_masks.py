"""Supplied masks of every kind come out as person and background, and what is no mask is said to be none."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from dataprep.errors import Rejected
from dataprep.pictures.supplied_masks import read_mask
from tests.pictures.test_images import SAMPLES, encoded

TRUE = np.asarray(Image.open(SAMPLES / "segments" / "p002.png").convert("L")) > 127
PHOTO = np.asarray(Image.open(SAMPLES / "no_segment" / "p002.jpg").convert("RGB"))
ONE = TRUE.astype(np.uint8)
SOFT = cv2.GaussianBlur(ONE.astype(np.float32), (0, 0), 2.0)
PARTS = ONE * (1 + np.arange(TRUE.shape[0]) // 80 % 13).astype(np.uint8)[:, None]


def grey(values):
    return values.astype(np.uint8)


def palette(numbers, colours):
    image = Image.fromarray(numbers)
    image.putpalette([channel for colour in colours for channel in colour])
    return image


def packed(image, kind="PNG"):
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


EXACT = {
    "0 and 255": encoded(ONE * 255),
    "0 and 1": encoded(ONE),
    "0 and 128": encoded(ONE * 128),
    "0 and 7, one part of a body alone": encoded(ONE * 7),
    "one bit": packed(Image.fromarray(TRUE)),
    "16 bits": encoded(ONE.astype(np.uint16) * 1000),
    "colours": encoded(np.dstack([ONE * 200, 0 * ONE, 0 * ONE])),
    "grey as colours": encoded(np.dstack([ONE * 128] * 3)),
    "a palette": packed(palette(ONE, [(0, 0, 0), (200, 0, 0)])),
    "a palette, in a GIF": packed(palette(ONE, [(0, 0, 0), (200, 0, 0)]), "GIF"),
    "alpha of a cut-out": encoded(np.dstack([PHOTO, ONE * 255])),
    "alpha of a white picture": encoded(np.dstack([np.full_like(PHOTO, 255), ONE * 255])),
    "opaque alpha, which says nothing": encoded(np.dstack([ONE * 255] * 3 + [np.full_like(ONE, 255)])),
    "WebP": encoded(np.dstack([ONE * 255] * 3), "WEBP", lossless=True),
}
NEAR = {
    "soft": encoded(grey(SOFT * 255)),
    "soft, up to 128": encoded(grey(SOFT * 128)),
    "soft, 16 bits": encoded((SOFT * 65535).astype(np.uint16)),
    "soft, 8 bits in 16": encoded((SOFT * 255).astype(np.uint16)),
    "soft, a fraction": encoded(SOFT, "TIFF"),
    "soft alpha": encoded(np.dstack([PHOTO, grey(SOFT * 255)])),
    "JPEG": encoded(ONE * 255, "JPEG"),
    "JPEG, up to 128": encoded(ONE * 128, "JPEG"),
    "a cut-out on black": encoded(PHOTO * ONE[..., None]),
}


def overlap(mask):
    return (TRUE & (mask > 127)).sum() / (TRUE | (mask > 127)).sum()


@pytest.mark.parametrize("kind", EXACT)
def test_two_values_of_any_kind_become_black_and_white(kind):
    mask = read_mask(EXACT[kind])
    assert mask.dtype == np.uint8
    np.testing.assert_array_equal(mask, ONE * 255)


@pytest.mark.parametrize("kind", NEAR)
def test_soft_and_lossy_masks_keep_their_shape_and_reach_white(kind):
    mask = read_mask(NEAR[kind])
    assert overlap(mask) > 0.96
    assert (mask.min(), mask.max()) == (0, 255)


def test_a_soft_edge_stays_soft():
    np.testing.assert_array_equal(read_mask(NEAR["soft"]), grey(SOFT * 255))
    np.testing.assert_allclose(read_mask(NEAR["soft, up to 128"]), SOFT * 255, atol=3)


def test_an_inverted_mask_comes_out_inverted():
    np.testing.assert_array_equal(read_mask(encoded(255 - ONE * 255)), 255 - ONE * 255)


@pytest.mark.parametrize("scale", [1, 16])
def test_a_map_of_body_parts_is_no_mask(scale):
    rainbow = [(37 * i % 256, 91 * i % 256, 149 * i % 256) for i in range(256)]
    coloured = palette(PARTS, rainbow)
    for data in (encoded(PARTS * scale), packed(coloured), packed(coloured.convert("RGB"))):
        with pytest.raises(Rejected, match="14 flat values, as a map of body parts") as caught:
            read_mask(data)
        assert caught.value.reason == "mask_undecodable"


def test_what_is_no_picture_is_no_mask():
    with pytest.raises(Rejected):
        read_mask(b"no picture")
