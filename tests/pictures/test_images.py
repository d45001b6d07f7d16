"""Decoding: upright 8-bit RGB or a reason in words."""

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from dataprep.errors import Rejected
from dataprep.pictures import photo_formats
from dataprep.pictures.codecs import decode_mask, decode_photograph, decode_rgb, encode_png
from dataprep.pictures.colour_profiles import UNUSABLE

SAMPLES = Path(__file__).parents[2] / "samples" / "people"


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


# --- colour profiles

PRIMARIES_XYZ_D50 = {  # red, green, blue of the profiles that cameras and phones write (their published ICC matrices)
    "Adobe RGB": ([0.60974, 0.31111, 0.01947], [0.20528, 0.62567, 0.06087], [0.14919, 0.06322, 0.74457], 563 / 256),
    "Display P3": ([0.51512, 0.24120, -0.00105], [0.29198, 0.69225, 0.04189], [0.15710, 0.06657, 0.78407], 2.2),
    "ProPhoto": ([0.79767, 0.28804, 0.0], [0.13519, 0.71188, 0.0], [0.03134, 0.00009, 0.82491], 1.8),
}
SRGB_XYZ_D50 = ([0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410])


def profile(name):
    """An ICC profile, version 2: three colours, one gamma (ICC.1:2001, matrix and tone curve)."""
    *colours, gamma = PRIMARIES_XYZ_D50[name]
    fixed = [struct.pack(">3i", *(round(65536 * x) for x in xyz)) for xyz in ([0.9642, 1.0, 0.82491], *colours)]
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name.encode() + bytes(1 + 78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        **{key: b"XYZ " + bytes(4) + xyz for key, xyz in zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), fixed, strict=True)},
        **{key: b"curv" + bytes(4) + struct.pack(">IH", 1, round(256 * gamma)) for key in (b"rTRC", b"gTRC", b"bTRC")},
    }
    table, body, start = b"", b"", 128 + 4 + 12 * len(tags)
    for key, value in tags.items():
        table += key + struct.pack(">II", start + len(body), len(value))
        body += value + bytes(-len(value) % 4)
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    head += bytes(28) + fixed[0]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def written_in(name, srgb):
    """The numbers that stand for the same colours in another profile."""
    *colours, gamma = PRIMARIES_XYZ_D50[name]
    value = srgb / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    there = linear @ np.array(SRGB_XYZ_D50) @ np.linalg.inv(np.array(colours))
    return np.round(255 * np.clip(there, 0, 1) ** (1 / gamma)).astype(np.uint8)


@pytest.fixture(scope="module")
def person():
    return np.asarray(Image.open(SAMPLES / "no_segment" / "p002.jpg").convert("RGB"))[100:400, 100:400]


@pytest.mark.parametrize("name", PRIMARIES_XYZ_D50)
def test_colours_come_out_in_srgb(person, name):
    numbers = written_in(name, person)
    assert np.abs(numbers.astype(int) - person).mean() > 1, "another profile, other numbers"
    for mode in ("RGB", "RGBA"):
        data = encoded(np.asarray(Image.fromarray(numbers).convert(mode)), icc_profile=profile(name))
        rgb, found = decode_photograph(data)
        assert found == name
        assert np.abs(rgb.astype(int) - person).mean() < 0.6
        assert np.abs(rgb.astype(int) - person).max() <= 12  # eight bits of ProPhoto are coarse


def test_srgb_by_any_name_is_left_as_it_is(person):
    named = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb, found = decode_photograph(encoded(person, icc_profile=named))
    np.testing.assert_array_equal(rgb, person)
    assert found == "sRGB built-in"


def test_a_grey_picture_with_a_profile_of_colours(person):
    grey = np.asarray(Image.fromarray(person).convert("L"))
    rgb, found = decode_photograph(encoded(grey, "JPEG", icc_profile=profile("Adobe RGB"), quality=98))
    assert found == "Adobe RGB"
    assert np.abs(rgb.astype(int) - grey[..., None]).mean() < 3  # Adobe's gamma is nearly sRGB's curve
    assert np.ptp(rgb, axis=2).max() <= 1


@pytest.mark.parametrize("broken", [b"no profile at all", bytes(300), profile("Adobe RGB")[:140]])
def test_a_damaged_profile_costs_no_photograph(person, broken):
    rgb, found = decode_photograph(encoded(person, icc_profile=broken))
    np.testing.assert_array_equal(rgb, person)
    assert found == UNUSABLE


def test_a_profile_of_another_kind_than_the_pixels_is_not_used(person):
    buffer = io.BytesIO()
    Image.fromarray(person).convert("CMYK").save(buffer, "TIFF", icc_profile=profile("Adobe RGB"))
    rgb, found = decode_photograph(buffer.getvalue())
    assert found == UNUSABLE
    assert np.abs(rgb.astype(int) - person).mean() < 1


# --- phones' formats


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_phones_photographs_are_read_upright(person, kind, orientation):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif", reason="the extra heic").register_heif_opener()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.ascontiguousarray(person if orientation == 1 else np.rot90(person, 1))
    rgb = decode_rgb(encoded(stored, kind, exif=exif.tobytes(), quality=90))
    assert np.abs(rgb.astype(int) - person).mean() < 4


def test_heic_without_its_decoder_names_format_extra_and_command(person, monkeypatch):
    pillow_heif = pytest.importorskip("pillow_heif", reason="the extra heic")
    pillow_heif.register_heif_opener()
    data = encoded(person, "HEIF")
    photo_formats._register_heif.cache_clear()
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    with pytest.raises(
        Rejected, match=r"HEIC, which needs the extra heic; run: pip install 'shhq-hs\[heic\]'"
    ) as caught:
        decode_rgb(data)
    assert caught.value.reason == "missing_decoder"
    monkeypatch.undo()
    photo_formats._register_heif.cache_clear()
    assert decode_rgb(data).shape == person.shape
