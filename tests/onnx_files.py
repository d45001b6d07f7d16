"""Small ONNX files with the signatures of matting networks."""

import numpy as np
import onnx

FLOAT, FLOAT16 = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


def write_network(path, side=(32, 32), weights=(6.0, 0.0, 0.0), bias=-3.0, kind=FLOAT, sigmoid=False, outputs=1):
    """A file whose mask is weights . channels + bias; of several outputs, the last is the mask."""
    shape = [1, 3, *side]
    numpy_kind = np.float32 if kind == FLOAT else np.float16
    kernel = onnx.numpy_helper.from_array(np.array(weights, numpy_kind).reshape(1, 3, 1, 1), "kernel")
    offset = onnx.numpy_helper.from_array(np.array([bias], numpy_kind), "offset")
    nodes = [onnx.helper.make_node("Conv", ["input_image", "kernel", "offset"], ["logits"])]
    nodes.append(onnx.helper.make_node("Sigmoid" if sigmoid else "Identity", ["logits"], ["output_image"]))
    values = [onnx.helper.make_tensor_value_info("output_image", kind, [1, 1, *side])]
    if outputs == 2:
        nodes.append(onnx.helper.make_node("Identity", ["input_image"], ["normals"]))
        values.insert(0, onnx.helper.make_tensor_value_info("normals", kind, shape))
    inputs = [onnx.helper.make_tensor_value_info("input_image", kind, shape)]
    graph = onnx.helper.make_graph(nodes, "network", inputs, values, [kernel, offset])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
