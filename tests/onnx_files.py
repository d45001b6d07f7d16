"""Small ONNX files with the signatures of matting networks and of InstantHMR."""

import numpy as np
import onnx

from dataprep.models.body.mediapipe_points import MEDIAPIPE_INDEX
from dataprep.models.regressors.mhr_joints import MHR_INDEX

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


def joints_from_world(world_m):
    """MediaPipe's world landmarks (33, 3) in the places of InstantHMR's 70 joints."""
    joints = np.zeros((70, 3))
    joints[list(MHR_INDEX.values())] = world_m[[MEDIAPIPE_INDEX[name] for name in MHR_INDEX]]
    return joints


def write_joints(path, joints, moved, from_condition=None, from_colour=None, side=224, without=(), angles=False):
    """InstantHMR's signature: five outputs, of which joints and translation are as given.

    `from_condition`, `from_colour` (3, 3): what the person's place and the picture's mean colours add to joints 0 to 2.
    """
    count = len(joints)
    added = {"cliff_cond": from_condition, "colour": from_colour}
    constants, nodes = (
        {},
        [
            onnx.helper.make_node("ReduceMean", ["image"], ["colour"], axes=[2, 3], keepdims=0),
            onnx.helper.make_node("MatMul", ["cliff_cond", "none"], ["nothing"]),
        ],
    )
    sums = ["joints"]
    for name, weights in added.items():
        spread = np.zeros((3, 3 * count), np.float32)
        spread[:, :9:3] = 0 if weights is None else weights
        constants[f"{name}_weights"] = spread
        nodes += [
            onnx.helper.make_node("MatMul", [name, f"{name}_weights"], [f"{name}_flat"]),
            onnx.helper.make_node("Reshape", [f"{name}_flat", "joints_shape"], [f"{name}_added"]),
            onnx.helper.make_node("Add", [sums[-1], f"{name}_added"], [f"sum_{name}"]),
        ]
        sums.append(f"sum_{name}")
    nodes.append(onnx.helper.make_node("Identity", [sums[-1]], ["joints_3d"]))
    nodes.append(onnx.helper.make_node("Add", ["nothing", "moved"], ["cam_trans"]))
    sizes = {
        "mhr_params": [204],
        "shape_params": [45],
        "cam_trans": [3],
        "joints_2d": [count, 2],
        "joints_3d": [count, 3],
    }
    for name in ("mhr_params", "shape_params", "joints_2d"):
        constants[f"zero_{name}"] = np.zeros([1, *sizes[name]], np.float32)
        nodes.append(onnx.helper.make_node("Identity", [f"zero_{name}"], [name]))
    constants |= {
        "none": np.zeros((3, 3), np.float32),
        "moved": np.asarray(moved, np.float32)[None],
        "joints": np.asarray(joints, np.float32)[None],
        "joints_shape": np.array([-1, count, 3], np.int64),
    }
    inputs = [
        onnx.helper.make_tensor_value_info("image", FLOAT, ["batch", 3, side, side]),
        onnx.helper.make_tensor_value_info("cliff_cond", FLOAT, ["batch", 3]),
    ]
    outputs = [
        onnx.helper.make_tensor_value_info(name, FLOAT, ["batch", *size])
        for name, size in sizes.items()
        if name not in without
    ]
    held = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(nodes, "network", inputs, outputs, held),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    if angles:
        onnx.helper.set_model_props(model, {"cliff_focal": "true"})
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
