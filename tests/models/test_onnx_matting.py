"""Networks of the user's own: small ONNX files of the true signatures, made here and run by onnxruntime."""

import sys

import numpy as np
import onnx
import onnxruntime
import pytest

from dataprep.errors import AssetError, ConfigError
from dataprep.models.matting.onnx_matting import OnnxSegmenter
from tests.onnx_files import FLOAT, FLOAT16, write_network

PICTURE = np.zeros((64, 64, 3), np.uint8)
PICTURE[:, 32:] = (255, 0, 0)  # the person is red


@pytest.mark.parametrize(
    "file",
    [
        {},  # logits, as BiRefNet gives them
        {"kind": FLOAT16},  # its export in half precision
        {"sigmoid": True},
        {"outputs": 2},
        {"side": (48, 24)},
        {"side": ("height", "width")},
    ],
)
def test_masks_of_files_of_all_kinds(tmp_path, file):
    mask = OnnxSegmenter(write_network(tmp_path / "net.onnx", **file), "imagenet", "cpu")(PICTURE)
    assert mask.shape == (64, 64)
    assert mask.dtype == np.uint8
    assert mask[:, 36:].min() > 250
    assert mask[:, :28].max() < 5


def test_colours_reach_the_network_as_it_wants_them(tmp_path):
    """DAViD: blue first, in [0, 1]; a mask that overshoots is clipped and not taken for logits."""
    red_is_last = write_network(tmp_path / "david.onnx", weights=(0.0, 0.0, 1.04), bias=-0.02)
    mask = OnnxSegmenter(red_is_last, "unit_bgr", "cpu")(PICTURE)
    assert mask[:, 36:].min() == 255
    assert mask[:, :28].max() == 0
    middle = np.full_like(PICTURE, 128)
    half = OnnxSegmenter(write_network(tmp_path / "half.onnx", weights=(0.0, 0.0, 1.0), bias=0.0), "unit_bgr", "cpu")
    np.testing.assert_allclose(half(middle), 128, atol=1)


def test_the_same_every_time(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    first, second = (OnnxSegmenter(path, "imagenet", "cpu")(noise) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_files_that_do_not_fit_say_what_they_have_and_what_is_expected(tmp_path):
    grey = onnx.helper.make_tensor_value_info("grey", FLOAT, [1, 1, 32, 32])
    colours = onnx.helper.make_tensor_value_info("colours", FLOAT, [1, 3, 32, 32])
    for name, inputs, outputs, expected in (
        ("in", [grey], [onnx.helper.make_tensor_value_info("out", FLOAT, [1, 1, 32, 32])],
         r"inputs are grey \(tensor\(float\), 1 x 1 x 32 x 32\), expected one float or float16 picture 1 x 3 x"),
        ("out", [colours], [onnx.helper.make_tensor_value_info("out", FLOAT, [1, 3, 32, 32])],
         r"outputs are out \(tensor\(float\), 1 x 3 x 32 x 32\), expected the last to be one mask 1 x 1 x"),
    ):  # fmt: skip
        node = onnx.helper.make_node("Identity", [inputs[0].name], ["out"])
        graph = onnx.helper.make_graph([node], "network", inputs, outputs)
        path = tmp_path / f"{name}.onnx"
        onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), path)
        with pytest.raises(AssetError, match=expected):
            OnnxSegmenter(path, "imagenet", "cpu")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"<html>not found</html>")
    with pytest.raises(AssetError, match=r"net\.onnx: not an ONNX file that onnxruntime reads"):
        OnnxSegmenter(path, "imagenet", "cpu")


def test_devices(tmp_path):
    path = write_network(tmp_path / "net.onnx")
    with pytest.raises(ConfigError, match=r"matte\.device is 'tpu', expected auto, cpu or cuda"):
        OnnxSegmenter(path, "imagenet", "tpu")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        with pytest.raises(ConfigError, match="this onnxruntime has no CUDA"):
            OnnxSegmenter(path, "imagenet", "cuda")


def test_without_onnxruntime_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(AssetError, match=r"pip install 'shhq-hs\[onnx\]'"):
        OnnxSegmenter(tmp_path / "net.onnx", "imagenet", "cpu")
