"""The ncnn reader: what was written comes back, and every kind of damage is named."""

import struct

import numpy as np
import pytest

from dataprep.errors import AssetError
from dataprep.models.superres.ncnn import read_network, read_param

PARAM = """7767517
4 5
Input input 0 1 data
Split split 1 2 data a b
Convolution conv 1 1 a c 0=5 1=3 4=1 5=1 6=135 9=2 -23310=1,2.000000e-01
PReLU prelu 1 1 c d 0=5
"""


def convolution(weight, bias, flag):
    kind = "<f2" if flag else "<f4"
    data = weight.astype(kind).tobytes()
    return struct.pack("<I", flag) + data + b"\0" * (-len(data) % 4) + bias.astype("<f4").tobytes()


@pytest.fixture
def arrays():
    rng = np.random.default_rng(3)
    weight = rng.normal(size=(5, 3, 3, 3)).astype(np.float16)
    return weight, rng.normal(size=5).astype(np.float32), rng.normal(size=5).astype(np.float32)


@pytest.mark.parametrize("flag", [0, 0x01306B47])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_reads_back_what_was_written(arrays, flag, newline):
    weight, bias, slopes = arrays  # 135 half floats: the padding to four bytes is in play
    conv, prelu = read_network(PARAM.replace("\n", newline), convolution(weight, bias, flag) + slopes.tobytes())
    np.testing.assert_array_equal(conv.weight, weight.astype(np.float32))
    np.testing.assert_array_equal(conv.bias, bias)
    assert conv.negative_slope == pytest.approx(0.2)
    np.testing.assert_array_equal(prelu.weight, slopes)


def test_every_truncation_and_any_surplus_is_refused(arrays):
    weight, bias, slopes = arrays
    data = convolution(weight, bias, 0x01306B47) + slopes.tobytes()
    for length in [0, 3, 4, 100, len(data) - 1]:
        with pytest.raises(AssetError, match="truncated"):
            read_network(PARAM, data[:length])
    with pytest.raises(AssetError, match="4 bytes left over"):
        read_network(PARAM, data + b"\0" * 4)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("7767517", "7767518", "first line"),
        ("4 5", "5 5", "header promises 5"),
        ("4 5", "4 6", "header promises 6"),
        ("4 5", "four five", "second line"),
        ("PReLU prelu", "Python prelu", "not one that this reader knows"),
        ("conv 1 1 a c", "conv 1 1 z c", "'z' is not made before"),
        ("conv 1 1 a c", "conv 1 1 a b", "'b' is made twice"),
        ("conv 1 1 a c", "conv x 1 a c", "cannot read the layer line"),
        ("6=135", "6=136", "plain 3x3 filters"),
        ("6=135", "6=99999999999", "expected 1 to"),
        ("0=5 1=3 4=1", "0=5 1=3 4=0", "padding"),
        ("9=2", "9=3", "not a LeakyReLU"),
        ("-23310=1,", "-23310=7,", "cannot read the layer line"),
        ("0=5 1=3", "0=5.5 1=3", "whole number"),
    ],
)
def test_a_damaged_description_is_named(arrays, old, new, message):
    weight, bias, slopes = arrays
    assert old in PARAM
    with pytest.raises(AssetError, match=message):
        read_network(PARAM.replace(old, new, 1), convolution(weight, bias, 0) + slopes.tobytes())


def test_unknown_weight_flag_and_nan_are_refused(arrays):
    weight, bias, slopes = arrays
    with pytest.raises(AssetError, match="0x12345678"):
        read_network(PARAM, struct.pack("<I", 0x12345678) + bytes(2000))
    bias[2] = np.nan
    with pytest.raises(AssetError, match="not-a-number"):
        read_network(PARAM, convolution(weight, bias, 0) + slopes.tobytes())


def test_an_empty_description_is_refused():
    with pytest.raises(AssetError, match="first line"):
        read_param("")


def test_a_constant_of_the_network_is_read_in_its_place(arrays):
    weight, bias, slopes = arrays
    param = PARAM.replace("4 5\n", "5 6\n").replace("Split", "MemoryData mean 0 1 m 0=1 1=1 2=3\nSplit", 1)
    numbers = np.array([0.25, 0.5, 0.75], np.float32)
    constant, *_ = read_network(param, numbers.tobytes() + convolution(weight, bias, 0) + slopes.tobytes())
    assert (constant.kind, constant.name) == ("MemoryData", "mean")
    np.testing.assert_array_equal(constant.weight, numbers)
